#pragma once
// Imports into a store that fails on request.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/text.hpp"
#include "server/imports.hpp"
#include "storage/faulty_store.hpp"
#include "storage/memory_store.hpp"
#include "tests/support/key_file.hpp"
#include "tests/support/temporary_folder.hpp"

namespace cpns::server_tests {

using server::import_options;
using server::import_view;

inline const std::string list_head = "entity_id,temporary_key,strength,owner\n";
inline std::string device_name(int n) { return "urn:dev:os:1-" + std::to_string(n); }
inline std::string list_row(int n, const std::string& key = {}, const std::string& owner = {}) {
  const auto own = to_hex(crypto::openssl_suite().sha256(as_bytes(std::to_string(n)))).substr(0, 32);
  return device_name(n) + "," + (key.empty() ? own : key) + ",128bit," + owner + "\n";
}
inline std::string list_of(int rows) {
  auto out = list_head;
  for (int n = 0; n < rows; ++n) out += list_row(n);
  return out;
}

inline byte_source source_of(std::string text, std::size_t at_once = 1000) {
  return [text = std::move(text), at_once,
          at = std::size_t{0}](std::span<std::uint8_t> to) mutable -> result<std::size_t> {
    const auto n = text.copy(reinterpret_cast<char*>(to.data()), std::min(to.size(), at_once), at);
    at += n;
    return n;
  };
}

/// Keeps the lines of decisions.
struct decision_log final : api::change_log {
  result<number> begin(const api::change& c) override {
    if (broken) return fail(errc::store_full, "the audit disk is full");
    intents.push_back(c);
    if (at_begin) at_begin();
    return intents.size();
  }
  void finish(number /*intent*/, const api::problem* refused, const boost::json::value& after) override {
    ends.push_back({refused == nullptr ? "done" : refused->detail, after});
  }
  void refused(const api::change& /*c*/, const api::problem& /*why*/) override {}
  struct end {
    std::string how;
    boost::json::value after;
  };
  bool broken = false;
  std::function<void()> at_begin;
  std::vector<api::change> intents;
  std::vector<end> ends;
};

struct import_harness {
  explicit import_harness(storage::store* on_disk = nullptr)
      : under(on_disk == nullptr ? static_cast<storage::store&>(memory) : *on_disk) {
    EXPECT_TRUE(storage::create_key_file(folder.path() / "kek", crypto::system_entropy()));
    protector = storage::open_key_file(folder.path() / "kek").value();
    sealed = storage::sealed_store::open(faulty, *protector, crypto::system_entropy()).value();
    start();
  }
  void start(milliseconds tick = std::chrono::minutes{1}) {
    imports = server::device_imports::open(
                  *sealed, crypto::openssl_suite(), crypto::system_entropy(),
                  {.now = [this] { return now.load(); }, .tick = tick, .devices = device_turns})
                  .value();
    imports->record_in(&log);
  }
  /// As after the end of the process.
  void restart() {
    imports.reset();
    start();
  }

  import_view run(const std::string& text, const import_options& o = {}, const std::string& name = "lot7") {
    EXPECT_TRUE(imports->create(name, o));
    EXPECT_TRUE(imports->receive(name, 0, source_of(text)));
    return end(name);
  }
  import_view end(const std::string& name = "lot7") {
    const auto begun = imports->finish(name, who);
    EXPECT_TRUE(begun) << begun.error().message();
    return imports->wait(name).value();
  }
  std::vector<std::string> results(const std::string& name = "lot7") const {
    std::vector<std::string> out;
    const auto all = imports->results(name, 0, 100'000).value();
    for (const auto& r : all) out.push_back(std::to_string(r.line) + " " + r.text);
    return out;
  }
  std::size_t rows_in(storage::table t) const {
    std::size_t n = 0;
    EXPECT_TRUE(under.scan(t, {}, [&n](const storage::stored_row&) { return ++n > 0; }));
    return n;
  }
  std::size_t devices() const { return rows_in(storage::table::devices); }
  std::optional<protocol::device_secret_record> device(int n) const {
    const auto found = sealed->get(storage::table::devices, as_bytes(device_name(n))).value();
    if (!found) return std::nullopt;
    return protocol::decode_device_secret_record(found->expose()).value();
  }

  test::temporary_folder folder;
  storage::memory_store memory;
  storage::store& under;
  storage::faulty_store faulty{under};
  std::unique_ptr<storage::key_protector> protector;
  std::unique_ptr<storage::sealed_store> sealed;
  std::atomic<time_point> now{time_point{seconds(1'800'000'000)}};
  decision_log log;
  std::shared_ptr<server::change_turns> device_turns = server::change_turns::make();
  api::change who{{}, "r-1", "device-import", {}, nullptr, nullptr};
  std::unique_ptr<server::device_imports> imports;  ///< destroyed first
};

}  // namespace cpns::server_tests
