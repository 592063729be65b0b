// Prints what compressed text in base64, on standard input, holds, or why it holds nothing: inflate LIMIT
#include "../src/inflate.h"

#include <cstdio>
#include <cstdlib>

#include "../src/error.h"

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    std::string base64;
    for (int c; (c = std::getchar()) != EOF;) base64 += static_cast<char>(c);
    try {
        const std::string text = pbgen::inflate(base64, std::strtoull(argv[1], nullptr, 10));
        std::fwrite(text.data(), 1, text.size(), stdout);
    } catch (const pbgen::Error& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
