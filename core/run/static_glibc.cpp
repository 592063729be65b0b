// A static program carries all that the C library might need, were the worst to happen. Each of these stands in for what
// this program never uses, and keeps out what would come with it. They are weak: where the library's own is linked for
// another reason, it wins, and where a library has no such name, nothing is lost.
#include <cstdlib>

#ifdef __GLIBC__
#define STAND_IN __attribute__((weak))

extern "C" {
// Translated messages, with catalogues and locales: 55 KB.
STAND_IN char* gettext(const char* text) noexcept { return const_cast<char*>(text); }
STAND_IN char* __dcgettext(const char*, const char* text, int) noexcept { return const_cast<char*>(text); }

// Character sets of wide streams: 65 KB.
STAND_IN int __wcsmbs_named_conv(void*, const char*) { std::abort(); }
STAND_IN void __wcsmbs_clone_conv(void*) { std::abort(); }
STAND_IN void __wcsmbs_load_conv(void*) { std::abort(); }
STAND_IN void __gconv_release_step(void*) { std::abort(); }
STAND_IN void* __wcsmbs_gconv_fcts_c[4];
STAND_IN int __gconv_lock;

// The name resolver's state of a thread: 70 KB.
STAND_IN __thread void* __libc_resp;

// Destructors of a thread's variables, which mind the loading of libraries: 35 KB. Only the main thread has such
// variables here, and they are no longer than the program.
STAND_IN int __cxa_thread_atexit_impl(void (*)(void*), void*, void*) { return 0; }

// What a failed assertion in the library prints: 30 KB.
STAND_IN void __assert_fail(const char*, const char*, unsigned, const char*) noexcept { std::abort(); }
}

// The name of an exception that nobody caught: 50 KB.
namespace __gnu_cxx {
STAND_IN void __verbose_terminate_handler() { std::abort(); }
}  // namespace __gnu_cxx
#endif
