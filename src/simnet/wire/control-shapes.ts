/** Shapes that bodies of control requests have in common. */
import { z } from 'zod';

export const decimal = z.string().regex(/^\d{1,28}(\.\d{1,10})?$/, 'a decimal with at most ten digits after the point');
export const micros = z
  .string()
  .regex(/^-?\d+$/, 'microseconds since 1970 as a text')
  .transform(BigInt);
export const offset = z.string().regex(/^\d+$/, 'an offset as a text').transform(BigInt);
export const howOften = z.union([
  z.strictObject({ next: z.int().min(0) }),
  z.strictObject({ share: z.number().min(0).max(1) }),
]);
export const alsoHowOften = <Shape extends z.ZodRawShape>(shape: Shape) =>
  z.union([
    z.strictObject({ ...shape, next: z.int().min(0) }),
    z.strictObject({ ...shape, share: z.number().min(0).max(1) }),
  ]);
