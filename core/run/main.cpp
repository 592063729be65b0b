// pbgen-run: images from a packed generator, without Python.
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>
#include <string>

#include <fcntl.h>

#include "error.h"
#include "file.h"
#include "generator.h"
#include "grid.h"
#include "options.h"
#include "png.h"

namespace pbgen {
namespace {

constexpr const char* help =
    "Usage: pbgen-run FILE -o grid.png [OPTIONS]\n"
    "\n"
    "Makes images with a packed generator, as one picture: the one that `pbgen generate` makes.\n"
    "\n"
    "  FILE                packed generator that `pbgen pack` wrote\n"
    "  -o, --output NAME   the picture, such as grid.png; may be left out with --time\n"
    "  -n, --count N       number of images; default: 64\n"
    "  --seed N            seed of the latent vectors; default: 0\n"
    "  --range LOW:HIGH    what the generator has for black and for white; default: -1:1\n"
    "  --threads N         threads to use; default: one for each usable core\n"
    "  --activations KIND  how layers with one-bit weights take their inputs, float32 (default) or int8\n"
    "  --time              print how long one image takes, and 16 at once\n"
    "  -h, --help          print this text\n"
    "  --version           print the version\n";

constexpr size_t images_at_once = 16;

void draw(const Generator& generator, const Options& options) {
    const pbgen_shape shape = generator.output_shape();
    if (shape.rank != 3 || (shape.dims[0] != 1 && shape.dims[0] != 3)) {
        std::string dims;
        for (size_t i = 0; i < shape.rank; ++i) dims += concat(i ? ", " : "", shape.dims[i]);
        fail(options.file, ": makes (", dims, "), no images of 1 or 3 channels");
    }
    check_writable(options.output);
    Grid grid(options.count, shape.dims[0], shape.dims[1], shape.dims[2], {options.black, options.white});
    for (size_t first = 0; first < options.count; first += images_at_once) {
        const size_t count = std::min(images_at_once, options.count - first);
        const std::vector<float> images = generator.images(options.seed, first, count);
        for (size_t i = 0; i < count; ++i) grid.place(first + i, images.data() + i * (images.size() / count));
    }
    write_atomically(options.output, [&](const Sink& sink) { encode_png(grid.picture(), sink); });
}

void print_time(const Generator& generator, size_t count) {
    std::printf("%zu image%s: %.3f ms\n", count, count == 1 ? "" : "s", generator.time(count));
}

void run(const Options& options) {
    if (options.help) return static_cast<void>(std::fputs(help, stdout));
    if (options.version) return static_cast<void>(std::puts("pbgen-run " PBGEN_VERSION));
    const Generator generator(options.file, options.threads, options.activations);
    if (!options.output.empty()) draw(generator, options);
    if (!options.time) return;
    print_time(generator, 1);
    print_time(generator, images_at_once);
}

// Opens to nowhere what the shell has closed (`>&-`), lest the next file to be opened take its place.
void open_closed() {
    for (int number = 0; number < 3; ++number)
        if (fcntl(number, F_GETFD) < 0) static_cast<void>(open("/dev/null", O_RDWR));  // the lowest that is free
}

void check_output() {
    if (std::fflush(stdout) || std::ferror(stdout))
        fail("standard output: cannot be written: ", std::strerror(errno), "; give it another place to go");
}

}  // namespace
}  // namespace pbgen

int main(int argc, char** argv) {
    std::signal(SIGXFSZ, SIG_IGN);  // a file that grows beyond its limit is one that cannot be written
    try {
        pbgen::open_closed();
        pbgen::run(pbgen::read_options(argc, argv));
        pbgen::check_output();
        return 0;
    } catch (const std::bad_alloc&) {
        std::fputs("pbgen-run: out of memory; give a smaller --count\n", stderr);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "pbgen-run: %s\n", error.what());
    }
    return 2;
}
