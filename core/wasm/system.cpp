// What a module has instead of an operating system, and of exceptions.
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <exception>
#include <new>
#include <string>
#include <typeinfo>

#include "../src/error.h"

// The only thing that it imports: milliseconds, from any beginning on.
extern "C" __attribute__((import_module("env"), import_name("now"))) double now();

extern "C" {

int clock_gettime(clockid_t, timespec* time) {
    const double milliseconds = now();
    time->tv_sec = static_cast<time_t>(milliseconds / 1000);
    time->tv_nsec = static_cast<long>((milliseconds - static_cast<double>(time->tv_sec) * 1000) * 1e6);
    return 0;
}

char* getenv(const char*) { return nullptr; }

_Noreturn void abort() { __builtin_trap(); }

// Nothing catches what is thrown: unwinding would make the module half as large again. The call ends in a trap, which its
// caller sees, with pbgen_error() to tell why. All that is thrown is a std::exception, and nothing else.
void* __cxa_allocate_exception(size_t size) noexcept { return std::malloc(size); }

_Noreturn void __cxa_throw(void* thrown, std::type_info*, void (*)(void*)) {
    const char* what = static_cast<std::exception*>(thrown)->what();
    pbgen::keep_error(std::strcmp(what, std::bad_alloc().what()) == 0 ? nullptr : what);
    abort();
}

}  // extern "C"

// The C++ library's last words, which nobody would read.
_LIBCPP_BEGIN_NAMESPACE_STD
[[noreturn]] void __libcpp_verbose_abort(const char*, ...) noexcept { abort(); }
_LIBCPP_END_NAMESPACE_STD

// The library's own would end in a trap, too, but without a word.
namespace {

void* or_throw(void* memory) {
    if (!memory) throw std::bad_alloc();
    return memory;
}

size_t size_of(std::align_val_t alignment) { return static_cast<size_t>(alignment); }

}  // namespace

void* operator new(size_t size) { return or_throw(std::malloc(size)); }
void* operator new(size_t size, std::align_val_t alignment) {
    const size_t whole = (size + size_of(alignment) - 1) / size_of(alignment) * size_of(alignment);
    return or_throw(whole < size ? nullptr : std::aligned_alloc(size_of(alignment), whole));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
