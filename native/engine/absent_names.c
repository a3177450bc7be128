/* Names that the prebuilt engine wants defined and nobody here has.
 *
 * It is a Python extension module and names these Python objects as data, so the loader wants them although no Python
 * code ever runs here. Each is a dummy; the functions it names bind lazily and are never called.
 * List: readelf -rW MODULE | grep -E 'GLOB_DAT|R_X86_64_64' | grep Py */
#define NAME(symbol) __attribute__((visibility("default"))) void *symbol[64];

NAME(PyBytes_Type) NAME(PyCapsule_Type) NAME(PyDict_Type) NAME(PyFloat_Type) NAME(PyList_Type)
NAME(PyLong_Type) NAME(PyModule_Type) NAME(PyProperty_Type) NAME(PyType_Type) NAME(PyUnicode_Type)
NAME(Py_GenericAliasType) NAME(_PyWeakref_RefType)
NAME(_Py_FalseStruct) NAME(_Py_NoneStruct) NAME(_Py_NotImplementedStruct) NAME(_Py_TrueStruct)
NAME(Py_Version)
NAME(PyExc_AttributeError) NAME(PyExc_BufferError) NAME(PyExc_ImportError) NAME(PyExc_IndexError)
NAME(PyExc_KeyError) NAME(PyExc_MemoryError) NAME(PyExc_OverflowError) NAME(PyExc_RuntimeError)
NAME(PyExc_RuntimeWarning) NAME(PyExc_StopIteration) NAME(PyExc_SystemError) NAME(PyExc_TypeError)
NAME(PyExc_ValueError)
NAME(PyObject_GenericGetDict) NAME(PyObject_GenericSetDict) NAME(PyObject_Vectorcall)
NAME(PyObject_VectorcallMethod) NAME(PyType_GenericNew) NAME(PyVectorcall_Call) NAME(Py_GenericAlias)

/* Three functions of NVIDIA's driver, which the CUDA engine's module calls by itself, beside its back end. Where there
 * is a driver they are its own; elsewhere they say what it would without a device. */
#include <dlfcn.h>

#define EXPORTED __attribute__((visibility("default")))
#define CUDA_ERROR_NO_DEVICE 100

static void *driver(const char *name) {
  void *library = dlopen("libcuda.so.1", RTLD_LAZY);
  return library ? dlsym(library, name) : 0;
}

EXPORTED int cuInit(unsigned flags) {
  int (*real)(unsigned) = (int (*)(unsigned))driver("cuInit");
  return real ? real(flags) : CUDA_ERROR_NO_DEVICE;
}
EXPORTED int cuDeviceGetAttribute(int *value, int attribute, int device) {
  int (*real)(int *, int, int) = (int (*)(int *, int, int))driver("cuDeviceGetAttribute");
  return real ? real(value, attribute, device) : CUDA_ERROR_NO_DEVICE;
}
EXPORTED int cuDeviceGetByPCIBusId(int *device, const char *bus) {
  int (*real)(int *, const char *) = (int (*)(int *, const char *))driver("cuDeviceGetByPCIBusId");
  return real ? real(device, bus) : CUDA_ERROR_NO_DEVICE;
}
