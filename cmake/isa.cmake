# Each instruction set has one file of kernels, compiled with its own flags and chosen at run time. Nothing
# outside src/kernels is compiled for more than the baseline.

function(carat_isa_flags)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    set_source_files_properties(${CMAKE_SOURCE_DIR}/src/kernels/avx2.cc PROPERTIES COMPILE_OPTIONS
                                "-mavx2;-mfma;-mf16c")
  endif()
endfunction()
