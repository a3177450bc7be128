/** What gpu/pack.mjs writes into the folder besides copies. */

export const RUN = `#!/bin/sh
# run.sh [-L FOLDER]... [options; --help lists them]
# -L: a folder of libraries that the engine needs and that are not in here, such as CUDA's.
here=$(cd "$(dirname "$0")" && pwd) || exit 1
libraries=$here/engine/lib
while [ "$1" = -L ]; do
  [ -d "$2" ] || { echo "Expected a folder for -L but received $2" >&2; exit 2; }
  libraries=$libraries:$(cd "$2" && pwd)
  shift 2
done
export LD_LIBRARY_PATH="$libraries\${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
node=$here/node
[ -x "$node" ] || node=node
exec "$node" "$here/bench/gpu/addon.mjs" "$@"
`;

export const README = `SDXL on this machine's GPU: speed and memory of the engine, with random weights.
Linux x86-64 with a glibc as new as the packing machine's. No network, nothing to install.

  ./run.sh --list           does the engine see the card, and if not, why
  ./run.sh                  all of it, the most important first, within 12 minutes
  ./run.sh --minutes 5      the same in 5
  ./run.sh --only usual     one group of measurements
  ./run.sh --help           all options

An engine of your own may need libraries that are not in here (libcudart, libcublas):
  ./run.sh -L /usr/local/cuda/lib64 -L ANOTHER/FOLDER
Keep the weights (11 GB in the temporary folder) for a second run: --weights FOLDER.
PyTorch on the same card as a peer, where a Python has it: --python /path/to/python3.

Results, line by line: gpu-results/results.txt for people, results.jsonl for programs,
engine.log with all that the engine said. Each row has the device's name: a figure of
the processor is none of a card. An engine without machine code for the card is compiled
by the driver in its first picture; the compiled code is kept in gpu-results/cuda-cache.
To run it anew as on a new machine, remove that folder.
`;
