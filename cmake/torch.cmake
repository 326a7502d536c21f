# libtorch: Debian's libtorch-dev, or any newer one that CMAKE_PREFIX_PATH names.
# Its headers take half a minute a file to compile; one precompiled header serves the whole train layer.

find_package(Torch REQUIRED)
add_library(carat_torch INTERFACE)
target_link_libraries(carat_torch INTERFACE ${TORCH_LIBRARIES})
target_include_directories(carat_torch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
separate_arguments(torch_flags NATIVE_COMMAND "${TORCH_CXX_FLAGS}")
target_compile_options(carat_torch INTERFACE ${torch_flags})
