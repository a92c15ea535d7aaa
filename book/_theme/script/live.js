// While an author works, the engine tells the page to load again.

export function reloadWhenEdited(port) {
  const socket = new WebSocket(`ws://${location.hostname}:${port}/socket`);
  socket.addEventListener("message", (event) => {
    if (JSON.parse(event.data).type === "RELOAD") location.reload();
  });
}
