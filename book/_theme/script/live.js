// While an author works, the engine tells the page to load again. The engine itself may end and be started anew; the page
// then waits for it, or for the page that says what is wrong. It is never loaded when nobody answers, for what the
// browser shows then would stay.

export function reloadWhenEdited(port) {
  const socket = new WebSocket(`ws://${location.hostname}:${port}/socket`);
  let gone = false; // an engine that never had a socket is not waited for, unless it was seen to be down
  socket.addEventListener("message", (event) => {
    if (JSON.parse(event.data).type === "RELOAD") reloadOnAnswer();
  });
  const first = text();
  socket.addEventListener("open", async () => {
    gone = true;
    // Whoever saves before the socket is open is not told of it.
    const [before, now] = await Promise.all([first, text()]);
    if (before && now && before !== now) reloadOnAnswer();
  });
  socket.addEventListener("close", () => setInterval(async () => {
    const answer = await ask();
    if (answer && gone) location.reload();
    if (!answer?.ok) gone = true;
  }, 1000));
}

const ask = () => fetch(location.href, { cache: "no-store" }).catch(() => null);

const text = async () => (await ask())?.text().catch(() => null);

async function reloadOnAnswer() {
  while (!(await ask())) await new Promise((resolve) => setTimeout(resolve, 300));
  location.reload();
}
