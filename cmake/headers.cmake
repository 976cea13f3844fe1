# The target `headers`: every header of the product compiles alone, without precompiled headers. Only when asked for:
# cmake --build --preset daily --target headers
file(GLOB_RECURSE headers RELATIVE ${CMAKE_SOURCE_DIR} CONFIGURE_DEPENDS smtp/*.hpp tls/*.hpp auth/*.hpp policy/*.hpp mta/*.hpp)
set(stubs)
foreach(header IN LISTS headers)
  set(stub ${CMAKE_BINARY_DIR}/generated/headers/${header}.cpp)
  file(CONFIGURE OUTPUT ${stub} CONTENT "#include \"@header@\" // twice, so that it guards itself\n#include \"@header@\"\n" @ONLY)
  list(APPEND stubs ${stub})
endforeach()
add_library(headers OBJECT EXCLUDE_FROM_ALL ${stubs})
set_target_properties(headers PROPERTIES UNITY_BUILD OFF)
target_compile_options(headers PRIVATE -O0)
target_link_libraries(headers PRIVATE mta_app mta_cli)
