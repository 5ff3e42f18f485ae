// Two servers that start with one empty store at the same time have the same keys in every order of their calls.
#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <thread>

#include "server/server_meta.hpp"
#include "storage/memory_store.hpp"
#include "tests/support/key_file.hpp"
#include "tests/support/seeded_entropy.hpp"
#include "tests/support/stepped_store.hpp"

namespace cpns::server_tests {
namespace {

using server::server_meta;
using test::step_order;
using test::stepped_store;

/// What each of two threads gets that runs `start(under, who)`.
template <class Start>
std::array<std::optional<server_meta>, 2> both(storage::store& under, const std::vector<int>& order,
                                               const Start& start) {
  step_order steps;
  steps.begin(order);
  std::array<std::optional<server_meta>, 2> out;
  const auto run = [&](int who) {
    stepped_store mine{under, steps, who};
    out[static_cast<std::size_t>(who)] = start(mine, who);
  };
  std::thread other{run, 1};
  run(0);
  other.join();
  return out;
}

std::string text_of(const std::vector<int>& order) {
  std::string out;
  for (const int who : order) out += std::to_string(who);
  return out;
}

void expect_one_identity(const std::array<std::optional<server_meta>, 2>& found,
                         const std::vector<int>& order) {
  ASSERT_TRUE(found[0] && found[1]) << text_of(order);
  EXPECT_EQ(found[0]->issuer_key, found[1]->issuer_key) << text_of(order);
  EXPECT_EQ(found[0]->fake_salt_key, found[1]->fake_salt_key) << text_of(order);
  EXPECT_EQ(found[0]->version, found[1]->version) << text_of(order);
}

struct first_start : ::testing::Test {
  test::seeded_entropy random{9};
  std::unique_ptr<storage::key_protector> protector = test::key_file_protector(random);

  std::optional<server_meta> start(storage::store& under, int who) const {
    test::seeded_entropy own{static_cast<std::uint64_t>(100 + who)};
    auto sealed = storage::sealed_store::open(under, *protector, own);
    if (!sealed) return std::nullopt;
    auto meta = server::load_meta(**sealed, own);
    return meta ? std::optional{std::move(*meta)} : std::nullopt;
  }
};

TEST_F(first_start, gives_two_servers_one_data_key_in_every_order) {
  for (const auto& order : step_order::all(4)) {
    storage::memory_store memory;
    expect_one_identity(both(memory, order, [this](auto& under, int who) { return start(under, who); }),
                        order);
  }
}

TEST_F(first_start, gives_two_servers_one_issuer_key_in_every_order) {
  for (const auto& order : step_order::all(5)) {
    storage::memory_store memory;
    ASSERT_TRUE(storage::sealed_store::open(memory, *protector, random)) << "the data key is there";
    expect_one_identity(both(memory, order, [this](auto& under, int who) { return start(under, who); }),
                        order);
  }
}

TEST_F(first_start, lets_one_of_two_commands_raise_the_incarnation) {
  storage::memory_store memory;
  const auto sealed = storage::sealed_store::open(memory, *protector, random).value();
  auto one = server::load_meta(*sealed, random).value();
  auto two = server::find_meta(*sealed).value().value();
  one.incarnation = 7;
  two.incarnation = 2;
  ASSERT_TRUE(server::save_meta(*sealed, one));
  const auto lost = server::save_meta(*sealed, two);
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code, errc::state_conflict);
  EXPECT_EQ(server::find_meta(*sealed).value()->incarnation, 7U);
}

}  // namespace
}  // namespace cpns::server_tests
