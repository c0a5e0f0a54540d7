// Asking the service; what it refuses is an Error with the problem document it answered with.

export class Refused extends Error {
  constructor(problem, status) {
    super(said(problem));
    this.problem = problem;
    this.status = status;
  }
}

export function said(problem) {
  return problem.detail || "it did not work";
}

export async function ask(address, { method = "GET", body, signal } = {}) {
  const headers = body === undefined ? {} : { "Content-Type": "application/json" };
  const answer = await fetch(address, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
  if (answer.redirected && new URL(answer.url).pathname === "/login") location.assign(answer.url);
  const kind = answer.headers.get("content-type") || "";
  const given = kind.includes("json") ? await answer.json() : await answer.text();
  if (!answer.ok) throw new Refused(typeof given === "string" ? { detail: given.slice(0, 300) } : given, answer.status);
  return given;
}

// Only the last call of several counts: it ends the request of the one before.
export function latest(work) {
  let before = null;
  return async (...given) => {
    before?.abort();
    const mine = (before = new AbortController());
    try {
      return await work(mine.signal, ...given);
    } catch (error) {
      if (error.name === "AbortError") return undefined;
      throw error;
    }
  };
}

// Runs work at once, then at most once in so many milliseconds, and once more at the end where it was asked for meanwhile.
export function paced(milliseconds, work) {
  let busy = false;
  let again = false;
  return async function run() {
    if (busy) return void (again = true);
    busy = true;
    const rest = new Promise((resolve) => setTimeout(resolve, milliseconds));
    try {
      await work();
    } catch {
      // the service is away for a moment; the next call asks again
    }
    await rest;
    busy = false;
    if (again) {
      again = false;
      run();
    }
  };
}
