// How a test speaks with a library under Node: commands come in and answers and events go out as
// lines of JSON. What a library prints goes where it prints it, and fails the test if that is stderr.
import { createInterface } from "node:readline";

const write = (line) => process.stdout.write(JSON.stringify(line) + "\n");

/** Tells the test what has happened; `fields` that are undefined are left out. */
export const tell = (event, fields = {}) => write({ event, ...fields });

/** Runs each command `{"do": name, ...}` by the function of that name, and answers what it returns. */
export function drive(commands) {
  createInterface({ input: process.stdin }).on("line", async (line) => {
    const { n, do: name, ...given } = JSON.parse(line);
    try {
      write({ n, result: (await commands[name](given)) ?? null });
    } catch (error) {
      write({ n, error: String(error) });
    }
  });
}
