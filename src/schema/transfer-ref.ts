/** The reference to `Transfer`, which other types point at. */
import type { Transfer } from '../read/transfers.ts';
import { builder } from './builder.ts';

export const TransferRef = builder.objectRef<Transfer>('Transfer');
