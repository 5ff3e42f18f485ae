#pragma once
// What is wrong with the three files of a role, file by file, before anything is made of them.

#include <vector>

#include "crypto/tls.hpp"

namespace cpns::crypto {

struct tls_file_fault {
  std::string tls_files::*file;  ///< whose fault it is
  error what;                    ///< as make_server_tls and make_client_tls have it
};
enum class tls_end : std::uint8_t { server, gateway };
/// Empty if the files can be used. The dates of certificates are not judged: they may be right tomorrow.
/// A gateway's certificate has one SAN URI. Thread-safe.
std::vector<tls_file_fault> check_tls_files(const tls_files& files, tls_end end);

}  // namespace cpns::crypto
