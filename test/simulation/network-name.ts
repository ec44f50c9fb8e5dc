/** What the simulated network is called in the database. */
export const NETWORK = 'simulation';
