import { CustodyRefusal } from '../../src/custody/custody-refusal.ts';

/** The code with which `action` is refused, or `signed` when it is not. Anything but a refusal passes through: it is a defect. */
export function refusalOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof CustodyRefusal) return error.code;
    throw error;
  }
  return 'signed';
}

export async function refusalOfAsync(action: () => Promise<unknown>): Promise<string> {
  try {
    await action();
  } catch (error) {
    if (error instanceof CustodyRefusal) return error.code;
    throw error;
  }
  return 'signed';
}
