// A frame with the output of a cell lies in an origin of its own, and no page can look into it: it tells how high it is.

export function setUpFrames() {
  addEventListener("message", ({ data, source }) => {
    const height = data?.frameHeight;
    if (!(height > 0)) return;
    for (const frame of document.querySelectorAll("iframe.html")) {
      if (frame.contentWindow === source) frame.style.height = `${Math.min(height, 4000)}px`;
    }
  });
}
