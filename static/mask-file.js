// A mask as a greyscale picture, black where nothing is learned; in the editor it is numbers, 255 there.
const plane = (width, height) => new OffscreenCanvas(width, height).getContext("2d");

// The numbers of the mask at an address, in the wanted size; null where there is none.
export async function fetched(address, width, height) {
  const answer = await fetch(address, { headers: { "X-LoRA-Studio": "1" } }).catch(() => null);
  if (!answer?.ok) return null;
  const drawn = await createImageBitmap(await answer.blob()).catch(() => null);
  if (!drawn) return null;
  const copy = plane(width, height);
  copy.drawImage(drawn, 0, 0, width, height);
  const grey = copy.getImageData(0, 0, width, height).data;
  return Uint8ClampedArray.from({ length: width * height }, (_, place) => 255 - grey[4 * place]);
}

// Numbers as the bytes of a PNG
export function packed(values, width, height) {
  const made = new ImageData(width, height);
  for (let place = 0; place < values.length; place += 1) {
    const grey = 255 - values[place];
    made.data.set([grey, grey, grey, 255], 4 * place);
  }
  const copy = plane(width, height);
  copy.putImageData(made, 0, 0);
  return copy.canvas.convertToBlob({ type: "image/png" });
}
