#pragma once
// One device with its Temporary Key, from a request or a command: the checks are those of a row of a list of devices.

#include <optional>
#include <string>

#include "api/body.hpp"
#include "base/secret.hpp"
#include "protocol/server/records.hpp"

namespace cpns::cli {

struct device_members {
  std::string entity, strength;
  std::optional<std::string> owner, encoding, batch;
  secret_bytes temporary_key;  ///< as text, in the form of server/key_text.hpp
  bool presence = true, allow_constant = false;
};

/// The members of POST /v1/devices.
api::checked<device_members> read_members(const api::request& r);
/// The body of that request.
secret_bytes body_of(const device_members& m);
/// Problems: wire-grammar, out-of-range, bad-temporary-key, crypto-weak. Takes about 150 ms if the key is stretched.
api::checked<protocol::device_secret_record> make_device(const device_members& m);

}  // namespace cpns::cli
