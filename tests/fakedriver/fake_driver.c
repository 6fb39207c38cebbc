/* A stand-in for the NVIDIA driver's user-space libraries, for machines without a GPU.
 *
 * Compiled twice: -DFAKE_LIBCUDA gives libcuda.so.1, -DFAKE_NVML gives libnvidia-ml.so.1. It answers questions about a
 * machine that environment variables describe; it computes nothing. TensorFlow 2.4 to 2.21 lists its devices (so every
 * library behind TensorFlow's gate must have been found), and asking for a real device fails as on a broken driver.
 *
 *   FAKEGPU_COUNT=1                 number of GPUs
 *   FAKEGPU_DRIVER=570.86.10        driver version (NVML)
 *   FAKEGPU_CUDA=12.8               CUDA version that the driver supports (both libraries)
 *   FAKEGPU_NAMES="A;B"             one entry per GPU; the last entry serves the rest. So too:
 *   FAKEGPU_CC="8.6;9.0"            compute capability
 *   FAKEGPU_MEMORY_MIB="24576"      memory
 *   FAKEGPU_MEMORY_USED_MIB="512"   of it in use
 *   FAKEGPU_UUIDS="GPU-…"           default: GPU-00000000-0000-0000-0000-00000000000<index>
 *   FAKEGPU_MIG="none;0;1"          MIG mode: none (the GPU has no such mode), 0 off, 1 on; default none
 *   FAKEGPU_MIG_DEVICES="2"         MIG devices where the mode is on; default 1
 *   FAKEGPU_PROCESSES="0:1234:800:python;1:99:-:X"   index:pid:MiB (- is "not told"):name of compute processes
 *   FAKEGPU_ERRORS="cuInit=100;nvmlDeviceGetUUID=3"  the function returns that code
 *   FAKEGPU_HANG="nvmlInit_v2;cuInit"                the function never returns
 *   FAKEGPU_LOG=/path               one line per call
 *
 * CUDA_VISIBLE_DEVICES is obeyed by libcuda as the real one does for plain indices (the first invalid token cuts the
 * rest), and ignored by NVML.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int Result;

#define MAX_GPUS 32
#define MIB ((uint64_t)1 << 20)

/* ---- the described machine ------------------------------------------------------------------------------------- */

static const char *setting(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    return value && *value ? value : otherwise;
}

/* The index-th entry of a list separated by semicolons; the last entry serves every later index. */
static void entry(const char *name, const char *otherwise, int index, char *out, size_t size) {
    const char *at = setting(name, otherwise), *end;
    while ((end = strchr(at, ';')) && index-- > 0) at = end + 1;
    snprintf(out, size, "%.*s", end ? (int)(end - at) : (int)strlen(at), at);
}

static long number(const char *name, const char *otherwise, int index) {
    char text[64];
    entry(name, otherwise, index, text, sizeof text);
    return atol(text);
}

static int gpu_count(void) {
    int count = atoi(setting("FAKEGPU_COUNT", "1"));
    return count < 0 ? 0 : count > MAX_GPUS ? MAX_GPUS : count;
}

static void version_parts(const char *text, int *major, int *minor) {
    const char *dot = strchr(text, '.');
    *major = atoi(text);
    *minor = dot ? atoi(dot + 1) : 0;
}

static int cuda_number(void) {
    int major, minor;
    version_parts(setting("FAKEGPU_CUDA", "12.8"), &major, &minor);
    return major * 1000 + minor * 10;
}

static void compute_capability(int gpu, int *major, int *minor) {
    char text[64];
    entry("FAKEGPU_CC", "8.6", gpu, text, sizeof text);
    version_parts(text, major, minor);
}

static uint64_t memory(int gpu) { return (uint64_t)number("FAKEGPU_MEMORY_MIB", "24576", gpu) * MIB; }
#ifdef FAKE_NVML
static uint64_t memory_used(int gpu) { return (uint64_t)number("FAKEGPU_MEMORY_USED_MIB", "512", gpu) * MIB; }
#endif
static void gpu_name(int gpu, char *out, size_t size) { entry("FAKEGPU_NAMES", "Fake GPU", gpu, out, size); }

static void gpu_uuid(int gpu, char *out, size_t size) {
    if (getenv("FAKEGPU_UUIDS")) entry("FAKEGPU_UUIDS", "", gpu, out, size);
    else snprintf(out, size, "GPU-00000000-0000-0000-0000-%012d", gpu);
}

/* ---- every entry point begins here: log, hang or fail as told --------------------------------------------------- */

static const char *listed(const char *list, const char *function) {
    size_t length = strlen(function);
    for (const char *at = list; at && *at; at = strchr(at, ';') ? strchr(at, ';') + 1 : NULL)
        if (!strncmp(at, function, length) && strchr(";=", at[length])) return at + length; /* strchr finds NUL too */
    return NULL;
}

static Result enter(const char *function) {
    const char *path = getenv("FAKEGPU_LOG"), *told;
    FILE *log = path && *path ? fopen(path, "a") : NULL;
    if (log) {
        fprintf(log, "%s\n", function);
        fclose(log);
    }
    if (listed(getenv("FAKEGPU_HANG"), function))
        for (;;) pause();
    told = listed(getenv("FAKEGPU_ERRORS"), function);
    return told && *told == '=' ? atoi(told + 1) : 0;
}

#define ENTER                                    \
    do {                                         \
        Result told_ = enter(__func__);          \
        if (told_) return told_;                 \
    } while (0)

#ifdef FAKE_LIBCUDA
/* ---- libcuda.so.1 ------------------------------------------------------------------------------------------------ */

enum { INVALID_VALUE = 1, NOT_INITIALIZED = 3, NO_DEVICE = 100, INVALID_DEVICE = 101, NOT_FOUND = 500, UNSUPPORTED = 801 };

static int initialized;

/* Physical indices of the GPUs that this process may see; returns how many. */
static int visible(int *physical) {
    const char *list = getenv("CUDA_VISIBLE_DEVICES");
    int all = gpu_count(), count = 0;
    if (!list) {
        for (; count < all; count++) physical[count] = count;
        return count;
    }
    while (*list && count < all) {
        char *end;
        long index = strtol(list, &end, 10);
        if (end == list || (*end && *end != ',') || index < 0 || index >= all) break;
        physical[count++] = (int)index;
        list = *end ? end + 1 : end;
    }
    return count;
}

static int physical_of(int device) {
    int physical[MAX_GPUS];
    return device >= 0 && device < visible(physical) ? physical[device] : -1;
}

#define GPU(device)                              \
    int gpu = physical_of(device);               \
    if (!initialized) return NOT_INITIALIZED;    \
    if (gpu < 0) return INVALID_DEVICE

Result cuInit(unsigned flags) {
    int physical[MAX_GPUS];
    (void)flags;
    ENTER;
    if (!visible(physical)) return NO_DEVICE;
    initialized = 1;
    return 0;
}
Result cuDriverGetVersion(int *version) { ENTER; *version = cuda_number(); return 0; }
Result cuDeviceGetCount(int *count) {
    int physical[MAX_GPUS];
    ENTER;
    if (!initialized) return NOT_INITIALIZED;
    *count = visible(physical);
    return 0;
}
Result cuDeviceGet(int *device, int ordinal) { ENTER; GPU(ordinal); (void)gpu; *device = ordinal; return 0; }
Result cuDeviceGetName(char *name, int size, int device) { ENTER; GPU(device); gpu_name(gpu, name, (size_t)size); return 0; }
Result cuDeviceTotalMem_v2(size_t *bytes, int device) { ENTER; GPU(device); *bytes = memory(gpu); return 0; }
Result cuDeviceComputeCapability(int *major, int *minor, int device) {
    ENTER; GPU(device); compute_capability(gpu, major, minor); return 0;
}
Result cuDeviceGetPCIBusId(char *text, int size, int device) {
    ENTER; GPU(device); snprintf(text, (size_t)size, "0000:%02x:00.0", gpu + 1); return 0;
}
Result cuDeviceGetByPCIBusId(int *device, const char *text) {
    unsigned domain, bus;
    int physical[MAX_GPUS], count = visible(physical);
    ENTER;
    if (sscanf(text, "%x:%x", &domain, &bus) != 2) return INVALID_VALUE;
    for (*device = 0; *device < count; ++*device)
        if (physical[*device] == (int)bus - 1) return 0;
    return INVALID_DEVICE;
}
static Result uuid_bytes(unsigned char *bytes, int gpu) {
    char text[96];
    int filled = 0;
    gpu_uuid(gpu, text, sizeof text);
    memset(bytes, 0, 16);
    for (const char *at = strchr(text, '-'); at && *at && filled < 32; at++) {
        int digit = *at >= '0' && *at <= '9' ? *at - '0' : (*at | 32) >= 'a' && (*at | 32) <= 'f' ? (*at | 32) - 'a' + 10 : -1;
        if (digit < 0) continue;
        bytes[filled / 2] |= (unsigned char)(filled % 2 ? digit : digit << 4);
        filled++;
    }
    return 0;
}
Result cuDeviceGetUuid(unsigned char *uuid, int device) { ENTER; GPU(device); return uuid_bytes(uuid, gpu); }
Result cuDeviceGetUuid_v2(unsigned char *uuid, int device) { ENTER; GPU(device); return uuid_bytes(uuid, gpu); }

/* Numbers of the CUdevice_attribute enumeration; the values are those of a mid-size GPU. TensorFlow refuses a GPU with
 * too few multiprocessors, and sizes launches by the limits. */
static const struct { int attribute, value; } ATTRIBUTES[] = {
    {1, 1024}, {2, 1024}, {3, 1024}, {4, 64},          /* threads per block, block dimensions */
    {5, 2147483647}, {6, 65535}, {7, 65535},           /* grid dimensions */
    {8, 49152}, {9, 65536}, {10, 32},                  /* shared memory per block, constant memory, warp size */
    {11, 2147483647}, {12, 65536}, {13, 1500000},      /* pitch, registers per block, clock in kHz */
    {14, 512}, {15, 1}, {16, 82}, {19, 1},             /* texture alignment, overlap, multiprocessors, host mapping */
    {31, 1}, {36, 9751000}, {37, 384}, {38, 6 << 20},  /* concurrent kernels, memory clock, bus width, L2 */
    {39, 1536}, {40, 2}, {41, 1},                      /* threads per multiprocessor, engines, unified addressing */
    {78, 1}, {81, 102400}, {82, 65536}, {83, 1},       /* priorities, shared memory and registers per SM, managed */
    {97, 101376}, {106, 16}, {111, 1024},              /* opt-in shared memory, blocks per SM, reserved shared memory */
};
Result cuDeviceGetAttribute(int *value, int attribute, int device) {
    int major, minor;
    ENTER;
    GPU(device);
    compute_capability(gpu, &major, &minor);
    *value = attribute == 75 ? major : attribute == 76 ? minor : attribute == 33 ? gpu + 1 : 0;
    for (size_t i = 0; i < sizeof ATTRIBUTES / sizeof *ATTRIBUTES; i++)
        if (ATTRIBUTES[i].attribute == attribute) *value = ATTRIBUTES[i].value;
    return 0;
}
Result cuDeviceCanAccessPeer(int *can, int device, int peer) { ENTER; (void)device; (void)peer; *can = 0; return 0; }
Result cuCtxGetCurrent(void **context) { ENTER; *context = NULL; return 0; }
Result cuCtxSetCurrent(void *context) { ENTER; return context ? UNSUPPORTED : 0; }
Result cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active) {
    ENTER; GPU(device); (void)gpu; *flags = 0; *active = 0; return 0;
}
Result cuDevicePrimaryCtxSetFlags(int device, unsigned flags) { ENTER; GPU(device); (void)gpu; (void)flags; return 0; }
Result cuDevicePrimaryCtxSetFlags_v2(int device, unsigned flags) { ENTER; GPU(device); (void)gpu; (void)flags; return 0; }
/* Here the stand-in ends: no context, so no memory, no kernel. */
Result cuDevicePrimaryCtxRetain(void **context, int device) { ENTER; (void)device; *context = NULL; return UNSUPPORTED; }
Result cuDevicePrimaryCtxRelease_v2(int device) { ENTER; (void)device; return 0; }
Result cuCtxCreate_v2(void **context, unsigned flags, int device) {
    ENTER; (void)flags; (void)device; *context = NULL; return UNSUPPORTED;
}
#define UNAVAILABLE(name) Result name(void) { ENTER; return UNSUPPORTED; }
/* What cuDNN looks up when one of its parts is opened, and what libraries name in their symbol tables. */
UNAVAILABLE(cuModuleLoad) UNAVAILABLE(cuModuleLoadData) UNAVAILABLE(cuModuleLoadDataEx)
UNAVAILABLE(cuModuleLoadFatBinary) UNAVAILABLE(cuModuleUnload) UNAVAILABLE(cuModuleGetFunction)
UNAVAILABLE(cuModuleGetGlobal_v2) UNAVAILABLE(cuModuleGetLoadingMode) UNAVAILABLE(cuLinkCreate_v2)
UNAVAILABLE(cuLinkAddData_v2) UNAVAILABLE(cuLinkAddFile_v2) UNAVAILABLE(cuLinkComplete)
UNAVAILABLE(cuLinkDestroy) UNAVAILABLE(cuFuncGetAttribute) UNAVAILABLE(cuFuncSetAttribute)
UNAVAILABLE(cuLaunchKernel) UNAVAILABLE(cuLaunchKernelEx) UNAVAILABLE(cuLaunchCooperativeKernel)
UNAVAILABLE(cuCtxPushCurrent_v2) UNAVAILABLE(cuCtxPopCurrent_v2) UNAVAILABLE(cuCtxGetDevice)
UNAVAILABLE(cuDevicePrimaryCtxReset_v2) UNAVAILABLE(cuStreamSynchronize) UNAVAILABLE(cuMemcpyDtoH_v2)
UNAVAILABLE(cuOccupancyMaxActiveBlocksPerMultiprocessor) UNAVAILABLE(cuTensorMapEncodeIm2col) UNAVAILABLE(cuTensorMapEncodeTiled)
Result cuGetExportTable(const void **table, const void *id) { ENTER; (void)id; *table = NULL; return NOT_FOUND; }

Result cuGetErrorName(int error, const char **name) {
    static const struct { int error; const char *name; } NAMES[] = {
        {0, "CUDA_SUCCESS"}, {1, "CUDA_ERROR_INVALID_VALUE"}, {3, "CUDA_ERROR_NOT_INITIALIZED"},
        {34, "CUDA_ERROR_STUB_LIBRARY"}, {46, "CUDA_ERROR_DEVICE_UNAVAILABLE"}, {100, "CUDA_ERROR_NO_DEVICE"},
        {101, "CUDA_ERROR_INVALID_DEVICE"}, {304, "CUDA_ERROR_OPERATING_SYSTEM"}, {500, "CUDA_ERROR_NOT_FOUND"},
        {801, "CUDA_ERROR_NOT_SUPPORTED"}, {802, "CUDA_ERROR_SYSTEM_NOT_READY"},
        {803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"}, {804, "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE"},
        {999, "CUDA_ERROR_UNKNOWN"},
    };
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
        if (NAMES[i].error == error) return *name = NAMES[i].name, 0;
    *name = NULL;
    return INVALID_VALUE;
}
Result cuGetErrorString(int error, const char **text) { *text = error ? "said by the fake driver" : "no error"; return 0; }

/* A caller built for CUDA 11 knows only the first form of cuGetProcAddress, which has one parameter less. */
static void *find(const char *symbol, int version) {
    static void *self;
    char versioned[160];
    Dl_info where;
    void *found = NULL;
    if (!self && dladdr((void *)find, &where)) self = dlopen(where.dli_fname, RTLD_NOW | RTLD_NOLOAD);
    snprintf(versioned, sizeof versioned, "%s_v2", symbol);
    if (version >= 12000 || strcmp(symbol, "cuGetProcAddress")) found = dlsym(self, versioned);
    return found ? found : dlsym(self, symbol);
}
Result cuGetProcAddress(const char *symbol, void **pointer, int version, uint64_t flags) {
    (void)flags; ENTER;
    return (*pointer = find(symbol, version)) ? 0 : NOT_FOUND;
}
Result cuGetProcAddress_v2(const char *symbol, void **pointer, int version, uint64_t flags, int *status) {
    (void)flags; ENTER;
    *pointer = find(symbol, version);
    if (status) *status = *pointer ? 0 : 1;
    return *pointer ? 0 : NOT_FOUND;
}
#endif

#ifdef FAKE_NVML
/* ---- libnvidia-ml.so.1 ------------------------------------------------------------------------------------------- */

enum { UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7 };
#define NOT_TOLD UINT64_MAX

/* A handle is the address of one of these; MIG devices follow their GPU. */
struct Device { int gpu, mig; };
static struct Device gpus[MAX_GPUS], migs[MAX_GPUS][8];
static int initialized;

static Result start(void) {
    for (int i = 0; i < MAX_GPUS; i++) {
        gpus[i] = (struct Device){i, -1};
        for (int k = 0; k < 8; k++) migs[i][k] = (struct Device){i, k};
    }
    initialized = 1;
    return 0;
}

#define READY                                    \
    ENTER;                                       \
    if (!initialized) return UNINITIALIZED

Result nvmlInit(void) { ENTER; return start(); }
Result nvmlInit_v2(void) { ENTER; return start(); }
Result nvmlInitWithFlags(unsigned flags) { ENTER; (void)flags; return start(); }
Result nvmlShutdown(void) { READY; initialized = 0; return 0; }

Result nvmlSystemGetDriverVersion(char *text, unsigned size) {
    READY; snprintf(text, size, "%s", setting("FAKEGPU_DRIVER", "570.86.10")); return 0;
}
Result nvmlSystemGetNVMLVersion(char *text, unsigned size) {
    READY;
    snprintf(text, size, "%d.%s", cuda_number() / 1000, setting("FAKEGPU_DRIVER", "570.86.10"));
    return 0;
}
Result nvmlSystemGetCudaDriverVersion(int *version) { READY; *version = cuda_number(); return 0; }
Result nvmlSystemGetCudaDriverVersion_v2(int *version) { READY; *version = cuda_number(); return 0; }

Result nvmlDeviceGetCount(unsigned *count) { READY; *count = (unsigned)gpu_count(); return 0; }
Result nvmlDeviceGetCount_v2(unsigned *count) { READY; *count = (unsigned)gpu_count(); return 0; }
Result nvmlDeviceGetHandleByIndex_v2(unsigned index, struct Device **device) {
    READY;
    if (index >= (unsigned)gpu_count()) return INVALID_ARGUMENT;
    *device = &gpus[index];
    return 0;
}
Result nvmlDeviceGetHandleByIndex(unsigned index, struct Device **device) {
    READY; return nvmlDeviceGetHandleByIndex_v2(index, device);
}
Result nvmlDeviceGetHandleByUUID(const char *uuid, struct Device **device) {
    char text[96];
    READY;
    for (int i = 0; i < gpu_count(); i++) {
        gpu_uuid(i, text, sizeof text);
        if (!strcmp(text, uuid)) return *device = &gpus[i], 0;
    }
    return NOT_FOUND;
}
Result nvmlDeviceGetHandleByPciBusId_v2(const char *text, struct Device **device) {
    unsigned domain, bus;
    READY;
    if (sscanf(text, "%x:%x", &domain, &bus) != 2 || !bus || bus > (unsigned)gpu_count()) return NOT_FOUND;
    *device = &gpus[bus - 1];
    return 0;
}
Result nvmlDeviceGetIndex(struct Device *device, unsigned *index) { READY; *index = (unsigned)device->gpu; return 0; }
Result nvmlDeviceGetMinorNumber(struct Device *device, unsigned *minor) { READY; *minor = (unsigned)device->gpu; return 0; }
Result nvmlDeviceGetName(struct Device *device, char *name, unsigned size) {
    READY; gpu_name(device->gpu, name, size); return 0;
}
Result nvmlDeviceGetUUID(struct Device *device, char *text, unsigned size) {
    READY;
    if (device->mig < 0) gpu_uuid(device->gpu, text, size);
    else snprintf(text, size, "MIG-00000000-0000-0000-%04d-%012d", device->mig, device->gpu);
    return 0;
}
Result nvmlDeviceGetCudaComputeCapability(struct Device *device, int *major, int *minor) {
    READY; compute_capability(device->gpu, major, minor); return 0;
}
struct Memory { uint64_t total, free, used; };
Result nvmlDeviceGetMemoryInfo(struct Device *device, struct Memory *info) {
    READY;
    *info = (struct Memory){memory(device->gpu), memory(device->gpu) - memory_used(device->gpu), memory_used(device->gpu)};
    return 0;
}
struct Memory2 { unsigned version; uint64_t total, reserved, free, used; };
Result nvmlDeviceGetMemoryInfo_v2(struct Device *device, struct Memory2 *info) {
    READY;
    info->total = memory(device->gpu);
    info->reserved = 0;
    info->used = memory_used(device->gpu);
    info->free = info->total - info->used;
    return 0;
}
struct Pci { char legacy[16]; unsigned domain, bus, device, id, subsystem; char text[32]; };
Result nvmlDeviceGetPciInfo_v3(struct Device *device, struct Pci *pci) {
    READY;
    *pci = (struct Pci){.bus = (unsigned)device->gpu + 1, .id = 0x220410de};
    snprintf(pci->legacy, sizeof pci->legacy, "0000:%02X:00.0", device->gpu + 1);
    snprintf(pci->text, sizeof pci->text, "00000000:%02X:00.0", device->gpu + 1);
    return 0;
}
Result nvmlDeviceGetPersistenceMode(struct Device *device, unsigned *mode) { READY; (void)device; *mode = 0; return 0; }
Result nvmlDeviceGetComputeMode(struct Device *device, unsigned *mode) { READY; (void)device; *mode = 0; return 0; }
struct Utilization { unsigned gpu, memory; };
Result nvmlDeviceGetUtilizationRates(struct Device *device, struct Utilization *rates) {
    READY; (void)device; *rates = (struct Utilization){0, 0}; return 0;
}

static int mig_mode(int gpu) {
    char text[16];
    entry("FAKEGPU_MIG", "none", gpu, text, sizeof text);
    return strcmp(text, "none") ? atoi(text) : -1;
}
Result nvmlDeviceGetMigMode(struct Device *device, unsigned *current, unsigned *pending) {
    READY;
    if (mig_mode(device->gpu) < 0) return NOT_SUPPORTED;
    *current = *pending = (unsigned)mig_mode(device->gpu);
    return 0;
}
Result nvmlDeviceGetMaxMigDeviceCount(struct Device *device, unsigned *count) {
    READY; *count = mig_mode(device->gpu) < 0 ? 0 : 7; return 0;
}
Result nvmlDeviceGetMigDeviceHandleByIndex(struct Device *device, unsigned index, struct Device **mig) {
    READY;
    if (mig_mode(device->gpu) < 0) return NOT_SUPPORTED;
    if (mig_mode(device->gpu) == 0 || index >= 7 || (long)index >= number("FAKEGPU_MIG_DEVICES", "1", device->gpu)) return NOT_FOUND;
    *mig = &migs[device->gpu][index];
    return 0;
}
Result nvmlDeviceIsMigDeviceHandle(struct Device *device, unsigned *is) { READY; *is = device->mig >= 0; return 0; }

struct Process { unsigned pid; uint64_t used; unsigned gpu_instance, compute_instance; };
static Result processes(int gpu, unsigned *count, struct Process *out) {
    unsigned room = *count, found = 0;
    for (const char *at = setting("FAKEGPU_PROCESSES", ""); at && *at; at = strchr(at, ';') ? strchr(at, ';') + 1 : NULL) {
        int index;
        unsigned pid;
        char used[24];
        if (sscanf(at, "%d:%u:%23[^:;]", &index, &pid, used) != 3 || index != gpu) continue;
        if (out && found < room)
            out[found] = (struct Process){pid, *used == '-' ? NOT_TOLD : (uint64_t)atoll(used) * MIB, UINT32_MAX, UINT32_MAX};
        found++;
    }
    *count = found;
    return found > room ? INSUFFICIENT_SIZE : 0;
}
Result nvmlDeviceGetComputeRunningProcesses_v2(struct Device *device, unsigned *count, struct Process *out) {
    READY; return processes(device->gpu, count, out);
}
Result nvmlDeviceGetComputeRunningProcesses_v3(struct Device *device, unsigned *count, struct Process *out) {
    READY; return processes(device->gpu, count, out);
}
Result nvmlDeviceGetGraphicsRunningProcesses_v2(struct Device *device, unsigned *count, struct Process *out) {
    READY; (void)device; (void)out; *count = 0; return 0;
}
Result nvmlDeviceGetGraphicsRunningProcesses_v3(struct Device *device, unsigned *count, struct Process *out) {
    READY; (void)device; (void)out; *count = 0; return 0;
}
Result nvmlSystemGetProcessName(unsigned pid, char *name, unsigned size) {
    READY;
    for (const char *at = setting("FAKEGPU_PROCESSES", ""); at && *at; at = strchr(at, ';') ? strchr(at, ';') + 1 : NULL) {
        int index;
        unsigned this_pid;
        char text[128] = "";
        if (sscanf(at, "%d:%u:%*[^:;]:%127[^;]", &index, &this_pid, text) >= 2 && this_pid == pid)
            return snprintf(name, size, "%s", text), 0;
    }
    return NOT_FOUND;
}

const char *nvmlErrorString(int error) {
    static const struct { int error; const char *text; } TEXTS[] = {
        {0, "Success"}, {1, "Uninitialized"}, {2, "Invalid Argument"}, {3, "Not Supported"},
        {4, "Insufficient Permissions"}, {6, "Not Found"}, {7, "Insufficient Size"}, {9, "Driver Not Loaded"},
        {10, "Timeout"}, {12, "Shared Library Not Found"}, {13, "Function Not Found"}, {15, "GPU is lost"},
        {16, "GPU requires reset"}, {18, "Driver/library version mismatch"}, {999, "Unknown Error"},
    };
    for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++)
        if (TEXTS[i].error == error) return TEXTS[i].text;
    return "Unknown Error";
}
#endif
