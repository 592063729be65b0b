// npm install pbgen, and g.safetensors beside this file; Vite and others bundle it as it is.
import { Engine } from "pbgen";

const engine = await Engine.load(new URL("./g.safetensors", import.meta.url));
const latent = Float32Array.from({ length: engine.inputShape[0] }, (_, i) => Math.sin(i * i));
const { data, shape } = await engine.run(latent);

const [, , height, width] = shape; // the batch and three colours before them
const picture = new ImageData(width, height);
for (let i = 0; i < height * width; ++i) {
    for (let c = 0; c < 3; ++c) picture.data[4 * i + c] = 127.5 * (1 + data[c * height * width + i]);
    picture.data[4 * i + 3] = 255;
}
const canvas = document.querySelector("canvas");
[canvas.width, canvas.height] = [width, height];
canvas.getContext("2d").putImageData(picture, 0, 0);
document.title = "made";
