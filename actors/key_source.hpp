#pragma once
// From the configuration of a protector to the source of its key.

#include "config/schema.hpp"
#include "storage/key_change.hpp"

namespace cpns::actors {

inline storage::key_source key_source_of(const config::protector_config& c) {
  return {c.kind == config::protector_kind::file ? storage::protector_kind::file
                                                 : storage::protector_kind::passphrase,
          c.file};
}

}  // namespace cpns::actors
