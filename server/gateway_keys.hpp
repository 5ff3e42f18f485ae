#pragma once
// The pre-shared keys of gateways in the store of a stopped server; a running one uses its gateway_book.

#include <string>

#include "crypto/psk_key.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::server {

/// Errors of gateway_book::load and gateway_book::add_key.
status add_gateway_key(storage::sealed_store& store, const std::string& identity, const crypto::psk_key& key,
                       std::int64_t since);
/// Errors of gateway_book::load and gateway_book::remove_key.
status remove_gateway_key(storage::sealed_store& store, const std::string& identity);

}  // namespace cpns::server
