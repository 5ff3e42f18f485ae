execute_process(COMMAND "${NM}" -D --defined-only --format=just-symbols "${PLUGIN}"
                OUTPUT_VARIABLE names OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
if(NOT names STREQUAL "cpns_transport_entry")
  message(FATAL_ERROR "${PLUGIN} must export only cpns_transport_entry, but it exports:\n${names}")
endif()
