# Writes the SQL files of a folder into one C++ source: cmake -DFOLDER=mta/store/sql -DOUT=embedded_sql.cpp -P embed_sql.cmake
file(GLOB files ${FOLDER}/*.sql)
list(SORT files)
set(entries "")
foreach(file IN LISTS files)
  get_filename_component(name ${file} NAME_WE)
  file(READ ${file} text)
  string(APPEND entries "    {\"${name}\", R\"~sql~(${text})~sql~\"},\n")
endforeach()
file(WRITE ${OUT} "// The SQL of mta/store/sql.
#include \"mta/store/embedded_sql.hpp\"

namespace mta::store {

const std::vector<SqlFile> &embedded_sql() {
  static const std::vector<SqlFile> files = {
${entries}  };
  return files;
}

} // namespace mta::store
")
