/* A framework library that is nothing but TensorFlow's loader: the functions by their mangled names, the calls of dlopen
 * and the words of its log. NAMES is the list of libraries that its gate opens, in order. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

static const char *names[] = {NAMES, 0};

static int opened(const char *name) {
    if (dlopen(name, RTLD_LAZY)) {
        fprintf(stderr, "I0000 dso_loader.cc:133] Successfully opened dynamic library %s\n", name);
        return 1;
    }
    fprintf(stderr, "I0000 dso_loader.cc:144] Could not load dynamic library '%s'; dlerror: %s\n", name, dlerror());
    return 0;
}

/* A status is returned through a hidden pointer: 1 is OK, anything else points to the error. */
void gate(void **status) __asm__("_ZN3tsl8internal9DsoLoader26MaybeTryDlopenGPULibrariesEv");
void gate(void **status) {
    int all = 1, i;
    for (i = 0; names[i]; i++) all &= opened(names[i]);
    *status = all ? (void *)1 : (void *)names;
}

void cudnn(void **result) __asm__("_ZN3tsl8internal9DsoLoader17GetCudnnDsoHandleEv");
void cudnn(void **result) { *result = (void *)(size_t)opened("libcudnn.so.9"); }

void cudart(void **result) __asm__("_ZN3tsl8internal9DsoLoader23GetCudaRuntimeDsoHandleEv");
void cudart(void **result) { *result = (void *)(size_t)opened("libcudart.so.12"); }

void cupti(void **result) __asm__("_ZN3tsl8internal9DsoLoader17GetCuptiDsoHandleEv");
void cupti(void **result) { *result = (void *)(size_t)opened("libcupti.so.12"); }

#ifdef HANG
#include <unistd.h>
__attribute__((constructor)) static void wait_for_ever(void) { for (;;) sleep(1); }
#endif
