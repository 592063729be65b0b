// The worker of a page: its code stands in the page itself, so that nothing is fetched, from file:// as well.

let url;

export function newWorker() {
  const code = document.getElementById("pbgen-worker").textContent;
  url ??= URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  return new Worker(url);
}
