#include "server/gateway_keys.hpp"

#include <functional>

#include "server/gateway_book.hpp"

namespace cpns::server {
namespace {

/// One change by the rules of a running server.
status with_book(storage::sealed_store& store,
                 const std::function<void(gateway_book&, storage::commit_done)>& change) {
  gateway_book book{store, [&store](const storage::sealed_batch& batch, const storage::commit_done& done) {
                      done(store.write(batch));
                    }};
  CPNS_CHECK(book.load());
  status outcome;
  change(book, [&outcome](const status& s) { outcome = s; });
  return outcome;
}

}  // namespace

status add_gateway_key(storage::sealed_store& store, const std::string& identity, const crypto::psk_key& key,
                       std::int64_t since) {
  return with_book(store, [&](gateway_book& book, storage::commit_done done) {
    book.add_key(identity, key, since, std::move(done));
  });
}

status remove_gateway_key(storage::sealed_store& store, const std::string& identity) {
  return with_book(store, [&](gateway_book& book, storage::commit_done done) {
    book.remove_key(identity, std::move(done));
  });
}

}  // namespace cpns::server
