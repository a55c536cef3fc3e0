/** Images come in: dropped (folders too), pasted, chosen. */

const IMAGE = /\.(png|jpe?g|bmp|tiff?|webp)$/i;

/**
 * Listens for images on the whole page.
 *
 * @param found called with `[{name, file}]` and how many files of folders were no images.
 */
export function listen(found) {
  const give = (entries, leftOut = 0) => {
    if (entries.length || leftOut) found(entries, leftOut);
  };
  choose("pick-files", "files", (files) => give(files.map(named)));
  choose("pick-folder", "folder", (files) => {
    const images = files.filter((file) => IMAGE.test(file.name));
    give(images.map(named), files.length - images.length);
  });
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    give(files.map(pasted));
  });
  listenForDrops(async (transfer) => {
    const { entries, leftOut } = await dropped(transfer);
    give(entries, leftOut);
  });
}

function choose(buttonId, inputId, use) {
  const input = document.getElementById(inputId);
  document.getElementById(buttonId).addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    use([...input.files]);
    input.value = ""; // so that the same files can be chosen again
  });
}

const named = (file) => ({ name: file.webkitRelativePath || file.name, file });

let pastes = 0;
function pasted(file) {
  pastes += 1;
  const isNamed = file.name && file.name !== "image.png";
  return { name: isNamed ? file.name : `pasted ${pastes}.png`, file };
}

function listenForDrops(use) {
  let depth = 0; // dragenter and dragleave also come from what lies inside
  const mark = (change) => {
    depth = Math.max(0, depth + change);
    document.body.classList.toggle("dragging", depth > 0);
  };
  const isFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragenter", (event) => isFiles(event) && mark(1));
  addEventListener("dragleave", (event) => isFiles(event) && mark(-1));
  addEventListener("dragover", (event) => {
    if (!isFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
  });
  addEventListener("drop", (event) => {
    if (!isFiles(event)) return;
    event.preventDefault();
    mark(-depth);
    use(event.dataTransfer);
  });
}

/** The files of a drop; those inside folders are taken where their name says that they are images. */
async function dropped(transfer) {
  // Entries must be asked for before the first await: the transfer is emptied after the event.
  const items = [...transfer.items].filter((item) => item.kind === "file");
  const roots = items.map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile());
  const entries = [];
  let leftOut = 0;
  for (const root of roots) {
    if (root instanceof File) entries.push(named(root));
    else if (root?.isFile) entries.push({ name: root.name, file: await fileOf(root) });
    else if (root) {
      for await (const entry of below(root)) {
        if (IMAGE.test(entry.name)) entries.push({ name: entry.fullPath.slice(1), file: await fileOf(entry) });
        else leftOut += 1;
      }
    }
  }
  return { entries, leftOut };
}

const fileOf = (entry) => new Promise((resolve, reject) => entry.file(resolve, reject));

async function* below(folder) {
  const reader = folder.createReader();
  const some = () => new Promise((resolve, reject) => reader.readEntries(resolve, reject));
  // A reader gives about a hundred entries at a time, and none at the end.
  for (let batch = await some(); batch.length; batch = await some()) {
    for (const entry of batch) {
      if (entry.isDirectory) yield* below(entry);
      else yield entry;
    }
  }
}
