# cmake --install build/release: what a machine needs to run Portcullis, also into a folder (DESTDIR).
include(GNUInstallDirs)
set(PORTCULLIS_SYSCONFDIR /etc CACHE PATH "where configuration lies; the programs look in /etc/portcullis unless told otherwise")

install(TARGETS portcullis portcullisd RUNTIME DESTINATION ${CMAKE_INSTALL_SBINDIR})

file(GLOB commands CONFIGURE_DEPENDS etc/man/*.1)
install(FILES ${commands} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES etc/man/portcullis.toml.5 DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)
install(FILES etc/man/portcullisd.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8)
install(FILES etc/bash-completion/portcullis DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES README.md LICENSE CHANGELOG.md SECURITY.md etc/portcullis.toml DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR})

configure_file(etc/systemd/portcullis.service ${CMAKE_BINARY_DIR}/generated/portcullis.service @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/generated/portcullis.service DESTINATION lib/systemd/system)
# These two are read from /usr/lib and /etc, but not from /usr/local/lib.
if(CMAKE_INSTALL_PREFIX STREQUAL "/usr")
  set(declarations lib)
else()
  set(declarations ${PORTCULLIS_SYSCONFDIR})
endif()
install(FILES etc/systemd/portcullis.sysusers DESTINATION ${declarations}/sysusers.d RENAME portcullis.conf)
install(FILES etc/systemd/portcullis.tmpfiles DESTINATION ${declarations}/tmpfiles.d RENAME portcullis.conf)
install(FILES etc/logrotate/portcullis DESTINATION ${PORTCULLIS_SYSCONFDIR}/logrotate.d)

# What an administrator may have changed is left alone; the shipped file is with the documentation, to compare.
install(CODE "
  set(folder \"${PORTCULLIS_SYSCONFDIR}/portcullis\")
  if(EXISTS \"\$ENV{DESTDIR}\${folder}/portcullis.toml\")
    message(STATUS \"Kept: \$ENV{DESTDIR}\${folder}/portcullis.toml\")
  else()
    file(INSTALL DESTINATION \"\${folder}\" TYPE FILE FILES \"${CMAKE_SOURCE_DIR}/etc/portcullis.toml\")
  endif()
  file(INSTALL DESTINATION \"\${folder}\" TYPE DIRECTORY FILES \"${CMAKE_SOURCE_DIR}/etc/partners.d\")
")
