/** Statements that make a hole in a wall of the database. */

/** Changes a function's text, as the database prints it. @throws as the database does, where the place is not there. */
export function inFunction(name: string, find: string, replace: string): string {
  return `DO $do$
DECLARE
  was text := pg_get_functiondef('${name}'::regproc);
  becomes text := replace(was, $find$${find}$find$, $replace$${replace}$replace$);
BEGIN
  IF becomes = was THEN RAISE EXCEPTION 'The place is not in %', was; END IF;
  EXECUTE becomes;
END $do$`;
}
