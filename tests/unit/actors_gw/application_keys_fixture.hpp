#pragma once
// A gateway with application keys, its key routes, and what they answer.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <optional>
#include <set>

#include "actors/application_keys/gateway_offer.hpp"
#include "actors/application_keys/key_routes.hpp"
#include "actors/application_keys/pne_offer.hpp"
#include "crypto/key_schedule.hpp"
#include "protocol/application_identity.hpp"
#include "storage/memory_store.hpp"
#include "tests/support/key_file.hpp"
#include "tests/support/seeded_entropy.hpp"

namespace cpns::application_key_tests {

using namespace actors;
namespace json = boost::json;
using testing::HasSubstr;

inline constexpr uid_t broker = 4711, other_user = 4712;
inline constexpr gid_t readers = 815;
inline constexpr std::size_t kept = 2000, next_max = 24;

inline entity_id device(int number) {
  return entity_id::parse("urn:dev:os:32473-" + std::to_string(number)).value();
}

inline secret32 key_of(int number, int index) {
  secret32 out;
  out.expose_mutable()[0] = static_cast<std::uint8_t>(number);
  out.expose_mutable()[1] = static_cast<std::uint8_t>(number >> 8);
  out.expose_mutable()[2] = static_cast<std::uint8_t>(index);
  return out;
}

/// Indexes 0 and 1 are unconfirmed, 2 is its own, 3 handed out, 4 unused.
inline protocol::device_record keyed(int number) {
  using enum protocol::key_use;
  protocol::device_record r;
  r.entity = device(number);
  r.user = user_id::parse("alice@example.org").value();
  r.keyed_since = 1'790'000'000'000;
  for (const auto& [index, use] : {std::pair{1, handed_out}, {2, own}, {3, handed_out}, {4, unused}})
    r.keys.push_back({epoch{3, static_cast<std::uint16_t>(index)}, {}, key_of(number, index), use});
  return r;
}

inline std::string text_of(const json::value& o, std::string_view member) {
  return std::string{o.at(member).as_string().c_str()};
}

struct application_keys : testing::Test {
  storage::memory_store memory;
  test::seeded_entropy random{1};
  std::unique_ptr<storage::key_protector> protector = test::key_file_protector(random);
  std::unique_ptr<storage::sealed_store> rows =
      storage::sealed_store::open(memory, *protector, random).value();
  gateway_offer offer{*rows, next_max};
  key_changes changes{kept};
  consumers programs{"gateway", changes};
  config::application_keys_config settings;
  api::route_table routes;

  application_keys() {
    settings.purposes["mqtt"].allow.users = {"root"};
    settings.purposes["coap"] = {16, config::identity_form::opaque, {{"root"}, {}}, {"urn:dev:os:32473-1*"}};
    open();
  }
  void open() { open(offer); }
  void open(const offered_keys& offered) {
    routes = {};
    auto known = std::make_shared<const purposes>(purposes::make(settings).value());
    routes.add(
        key_routes({"gateway", std::move(known), &offered, &changes, &programs, &crypto::openssl_suite()}));
  }
  void save(const protocol::device_record& r) {
    storage::sealed_batch b;
    b.push_back({storage::table::peers, to_bytes(as_bytes(r.entity.text())), protocol::encode(r)});
    auto outcome = status{};
    const auto done = announcing(changes, b, [&outcome](const status& s) { outcome = s; });
    done(rows->write(b));
    ASSERT_TRUE(outcome);
  }
  void save_two_of_which_the_first_is_damaged() {
    save(keyed(1));
    std::optional<storage::stored_row> first;
    ASSERT_TRUE(memory.scan(storage::table::peers, {}, [&first](const storage::stored_row& r) {
      first = r;
      return false;
    }));
    save(keyed(2));
    first->value.back() ^= 1;
    ASSERT_TRUE(memory.write_one({{storage::table::peers, first->row, first->version, first->value}}));
  }
  /// The lines of a watch until it has nothing more at present.
  static std::vector<json::value> lines_of(api::part_source& watch) {
    std::string text;
    for (auto part = watch.next(); part && !part->empty(); part = watch.next()) text += *part;
    std::vector<json::value> out;
    for (std::size_t at = 0; at < text.size();) {
      const auto end = text.find('\n', at);
      out.push_back(json::parse(text.substr(at, end - at)));
      at = end + 1;
    }
    return out;
  }
  api::outcome ask(const std::string& path, api::local_peer who = {.uid = 0}, api::text_map query = {}) {
    auto found = routes.find(api::verb::get, path);
    if (found.to == nullptr) return api::refuse(404, "no-such-path", path);
    api::request r;
    r.path = path;
    r.path_values = found.values;
    r.query = std::move(query);
    r.from.process = std::move(who);
    return found.to->handle(r);
  }
  /// The keys of an answer, which may come in parts.
  json::array keys(const std::string& path, std::size_t* parts = nullptr, std::int64_t unreadable = 0) {
    auto got = ask(path);
    if (!got) {
      ADD_FAILURE() << got.error().detail;
      return {};
    }
    auto text = got->body;
    for (; got->parts;) {
      const auto part = got->parts->next();
      if (!part) ADD_FAILURE() << part.error().message();
      if (!part || part->empty()) break;
      if (parts != nullptr) ++*parts;
      text += *part;
    }
    const auto all = json::parse(text);
    EXPECT_EQ(all.at("unreadable").as_int64(), unreadable);
    return all.at("keys").as_array();
  }
};

/// Answers as `under`, or with an error of the store.
class failing_offer final : public offered_keys {
 public:
  explicit failing_offer(const offered_keys& under) : under_(under) {}
  std::optional<errc> fault;
  std::function<void()> reads;  ///< called for each page

  [[nodiscard]] result<std::optional<offered_device>> find(const entity_id& entity) const override {
    if (fault) return fail(*fault);
    return under_.find(entity);
  }
  [[nodiscard]] result<page> read_page(const std::string& after, const visitor& each) const override {
    if (reads) reads();
    return under_.read_page(after, each);
  }

 private:
  const offered_keys& under_;
};

}  // namespace cpns::application_key_tests
