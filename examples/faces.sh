#!/bin/sh
# A DCGAN from a folder or a zip of pictures, most of its layers in one bit: faces.sh PHOTOS [STEPS]
set -eu
photos=$1 steps=${2:-10000}
pbgen inspect dcgan32
pbgen train --model dcgan32 --data "$photos" --generator partial --discriminator binary --steps "$steps" --out run
pbgen evaluate run --count 64
pbgen pack run -o g.safetensors
pbgen generate g.safetensors -n 64 -o grid.png
pbgen web g.safetensors -o page.html
