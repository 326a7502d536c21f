# The files of an instruction set are compiled with its flags, and chosen at run time. Nothing else is
# compiled for more than the baseline.

function(carat_isa_flags)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    foreach(file avx2 avx2_codes avx2_dot)
      set_source_files_properties(${CMAKE_SOURCE_DIR}/src/kernels/${file}.cc PROPERTIES COMPILE_OPTIONS
                                  "-mavx2;-mfma;-mf16c")
    endforeach()
    set_source_files_properties(${CMAKE_SOURCE_DIR}/src/base/sha256_x86.cc PROPERTIES COMPILE_OPTIONS
                                "-msse4.1;-msha")
  endif()
endfunction()
