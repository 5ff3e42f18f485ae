// The seal: the files show no content, changed rows are refused, and only the right key opens the store.

#include <algorithm>
#include <atomic>
#include <thread>

#include "storage/faulty_store.hpp"
#include "storage/memory_store.hpp"
#include "storage/rocksdb_store.hpp"
#include "support.hpp"

namespace cpns::storage::testing {
namespace {

namespace fs = std::filesystem;

class sealed : public ::testing::Test {
 protected:
  sealed() : protector_(protector("kek")) {}
  std::unique_ptr<key_protector> protector(std::string_view name) {
    EXPECT_OK(create_key_file(dir_ / name, random_source()));
    return std::move(open_key_file(dir_ / name).value());
  }
  std::unique_ptr<sealed_store> open(store& under) {
    auto opened = sealed_store::open(under, *protector_, random_source());
    EXPECT_OK(opened);
    return opened ? std::move(*opened) : nullptr;
  }
  /// The stored rows of one table without the wrapped data key.
  static std::vector<stored_row> stored(const store& under, table t) {
    std::vector<stored_row> found;
    EXPECT_OK(under.scan(t, {}, [&](const stored_row& row) {
      if (row.row.size() == 32) found.push_back(row);
      return true;
    }));
    return found;
  }
  /// As somebody who holds the database would.
  static void put_back(memory_store& under, table t, const stored_row& row) {
    under.put_back(t, row.row, stored_value{row.version, row.value});
  }
  temporary_folder dir_;
  std::unique_ptr<key_protector> protector_;
};

TEST_F(sealed, shows_no_name_and_no_value_in_any_file_of_the_store) {
  const std::string user = "canary-user@example.org";
  const std::string tk("\x00\x9d\x41\xee\x7c\x13\x5a\xb0\x22\xc8\x6f\xf1\x38\x04\x9b\xd7", 16);
  const std::string eukey("\xc4\x0e\x91\x5d\xaa\x77\x02\xfb\x36\xe8\x1c\x49\x80\xb5\x63\x2f", 16);
  for (int opening = 0; opening < 3; ++opening) {
    auto under = open_rocksdb_store(dir_ / "store");
    ASSERT_OK(under);
    const auto s = open(**under);
    ASSERT_NE(s, nullptr);
    ASSERT_OK(s->write({seal(table::users, user, "x"), seal(table::devices, "urn:dev:os:1-canary", tk),
                        seal(table::entities, eukey, user + eukey)}));
    EXPECT_EQ(read(*s, table::devices, "urn:dev:os:1-canary"), tk);
  }
  std::size_t searched = 0;
  for (const auto& entry : fs::recursive_directory_iterator(dir_ / "store")) {
    const auto content = content_of(entry.path());
    auto lower = content;
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return std::tolower(c); });
    searched += content.size();
    for (const auto& canary : {user, tk, eukey, std::string("urn:dev:os")}) {
      const auto raw = as_bytes(canary);
      EXPECT_EQ(content.find(canary), std::string::npos) << entry.path();
      EXPECT_EQ(lower.find(to_hex(raw)), std::string::npos) << entry.path();
      // Base64 at each of its three alignments, without the characters that depend on neighbouring bytes.
      for (std::size_t shift = 0; shift < 3; ++shift) {
        bytes shifted(shift + raw.size());
        std::copy(raw.begin(), raw.end(), shifted.begin() + static_cast<std::ptrdiff_t>(shift));
        const auto text = to_base64(shifted);
        EXPECT_EQ(content.find(text.substr(4, text.size() - 8)), std::string::npos) << entry.path();
      }
    }
  }
  EXPECT_GT(searched, 500U);
}

TEST_F(sealed, has_its_rows_again_with_the_same_key) {
  memory_store under;
  ASSERT_OK(open(under)->write({seal(table::users, "ann", "1"), seal(table::meta, "data key", "2")}));
  const auto s = open(under);
  EXPECT_EQ(read(*s, table::users, "ann"), "1");
  EXPECT_EQ(read(*s, table::meta, "data key"), "2") << "the caller may use this name";
  int seen = 0;
  EXPECT_OK(s->scan(table::meta, {}, [&seen](byte_view, const secret_bytes&) { return ++seen > 0; }));
  EXPECT_EQ(seen, 1) << "the wrapped data key and the schema are not rows of the caller";
}

TEST_F(sealed, refuses_an_old_value_under_a_new_version) {
  memory_store under;
  const auto s = open(under);
  ASSERT_OK(s->write({seal(table::users, "ann", "old")}));
  auto old = stored(under, table::users).at(0);
  ASSERT_OK(s->write({seal(table::users, "ann", "new")}));
  EXPECT_EQ(old.version, 1U);
  old.version = 2;
  put_back(under, table::users, old);
  EXPECT_EQ(code(s->get(table::users, as_bytes("ann"))), "store_sealed");
}

TEST_F(sealed, keeps_the_versions_of_an_erased_row) {
  memory_store under;
  const auto s = open(under);
  ASSERT_OK(s->write({seal(table::users, "ann", "1")}));
  ASSERT_OK(s->write({{table::users, b("ann"), std::nullopt}}));
  EXPECT_EQ(read(*s, table::users, "ann"), "(none)");
  EXPECT_FALSE(s->has(table::users, as_bytes("ann")).value());
  EXPECT_EQ(s->read_one(table::users, as_bytes("ann"))->version, 2U);
  int seen = 0;
  EXPECT_OK(s->scan(table::users, {}, [&seen](byte_view, const secret_bytes&) { return ++seen > 0; }));
  EXPECT_EQ(seen, 0);
  auto late = seal(table::users, "ann", "2");
  late.expected = 1;
  EXPECT_EQ(code(s->write({late})), "store_conflict");
  late.expected = 2;
  ASSERT_OK(s->write({late}));
  EXPECT_EQ(read(*s, table::users, "ann"), "2");
}

TEST_F(sealed, removes_the_rows_of_imports) {
  memory_store under;
  const auto s = open(under);
  ASSERT_OK(s->write({seal(table::imports, "a", "1")}));
  ASSERT_OK(s->write({{table::imports, b("a"), std::nullopt}, {table::imports, b("b"), std::nullopt}}));
  EXPECT_TRUE(stored(under, table::imports).empty());
}

TEST_F(sealed, lets_one_of_two_writers_win) {
  memory_store under;
  const auto one = open(under), two = open(under);
  ASSERT_OK(one->write({seal(table::users, "ann", "1")}));
  const auto read_by_both = one->read_one(table::users, as_bytes("ann"))->version;
  auto first = seal(table::users, "ann", "one"), second = seal(table::users, "ann", "two");
  first.expected = second.expected = read_by_both;
  ASSERT_OK(one->write({first}));
  EXPECT_EQ(code(two->write({second, seal(table::users, "bob", "2")})), "store_conflict");
  EXPECT_EQ(read(*two, table::users, "ann"), "one");
  EXPECT_EQ(read(*two, table::users, "bob"), "(none)") << "of a batch that lost, nothing is written";
}

TEST_F(sealed, takes_the_data_key_of_the_node_that_started_first) {
  memory_store memory;
  std::unique_ptr<sealed_store> other;
  /// Another node starts between the first read of this one and its write.
  struct slow final : store {
    memory_store& under;
    std::function<void()> before_write;
    explicit slow(memory_store& s) : under(s) {}
    result<std::vector<std::optional<stored_value>>> read(std::span<const row_name> names) const override {
      return under.read(names);
    }
    std::vector<status> write(std::span<const write_batch> batches) override {
      std::exchange(before_write, [] {})();
      return under.write(batches);
    }
    status scan(table t, byte_view prefix, const row_visitor& visit) const override {
      return under.scan(t, prefix, visit);
    }
    result<std::vector<stored_row>> slice(table t, byte_view after, std::size_t limit) const override {
      return under.slice(t, after, limit);
    }
  } s(memory);
  s.before_write = [&] {
    other = open(memory);
    ASSERT_OK(other->write({seal(table::users, "ann", "1")}));
  };
  const auto own = open(s);
  ASSERT_NE(own, nullptr);
  EXPECT_EQ(read(*own, table::users, "ann"), "1");
}

TEST_F(sealed, is_refused_with_another_key) {
  memory_store under;
  ASSERT_OK(open(under)->write({seal(table::users, "ann", "1")}));
  const auto other = protector("other");
  const auto refused = sealed_store::open(under, *other, random_source());
  EXPECT_EQ(code(refused), "store_key");
  EXPECT_NE(refused.error().detail.find((dir_ / "other").string()), std::string::npos);
  const auto words = make_passphrase_protector(secret_bytes::from_text("words"));
  EXPECT_EQ(code(sealed_store::open(under, **words, random_source())), "store_key");
  EXPECT_EQ(read(*open(under), table::users, "ann"), "1");
}

TEST_F(sealed, is_refused_when_its_data_key_is_gone) {
  memory_store under;
  ASSERT_OK(open(under)->write({seal(table::revocations, "ann", "1")}));
  under.put_back(table::meta, as_bytes("data key"), std::nullopt);
  EXPECT_EQ(code(sealed_store::open(under, *protector_, random_source())), "store_damaged");
}

TEST_F(sealed, is_not_opened_when_its_data_key_cannot_be_written_or_read) {
  memory_store memory;
  faulty_store under(memory);
  under.fail_writes(errc::store_full);
  EXPECT_EQ(code(sealed_store::open(under, *protector_, random_source())), "store_full");
  under.repair();
  ASSERT_OK(open(under)->write({seal(table::users, "ann", "1")}));
  under.fail_reads(errc::store_damaged);
  EXPECT_EQ(code(sealed_store::open(under, *protector_, random_source())), "store_damaged");
  under.repair();
  EXPECT_EQ(read(*open(under), table::users, "ann"), "1");
}

TEST_F(sealed, refuses_a_row_that_replaced_another) {
  memory_store under;
  const auto s = open(under);
  ASSERT_OK(s->write({seal(table::users, "ann", "1"), seal(table::users, "bob", "2")}));
  auto found = stored(under, table::users);
  ASSERT_EQ(found.size(), 2U);
  std::swap(found[0].value, found[1].value);
  for (const auto& row : found) put_back(under, table::users, row);
  for (const auto* name : {"ann", "bob"})
    EXPECT_EQ(code(s->get(table::users, as_bytes(name))), "store_sealed");
  EXPECT_EQ(code(s->scan(table::users, {}, [](byte_view, const secret_bytes&) { return true; })),
            "store_sealed");
}

TEST_F(sealed, scans_past_damaged_rows_when_they_are_reported) {
  memory_store under;
  const auto s = open(under);
  ASSERT_OK(s->write({seal(table::users, "mallory", "1")}));
  auto found = stored(under, table::users);
  ASSERT_EQ(found.size(), 1U);
  found[0].value.back() ^= 1;
  put_back(under, table::users, found[0]);
  ASSERT_OK(s->write({seal(table::users, "bob", "2"), seal(table::users, "eve", "3")}));
  std::vector<std::string> names, damages;
  EXPECT_OK(s->scan(
      table::users, {},
      [&names](byte_view row, const secret_bytes&) {
        names.emplace_back(as_text(row));
        return true;
      },
      [&damages](const error& e) { damages.push_back(e.message()); }));
  std::sort(names.begin(), names.end());
  EXPECT_EQ(names, (std::vector<std::string>{"bob", "eve"}));
  ASSERT_EQ(damages.size(), 1U);
  EXPECT_NE(damages[0].find("of table users cannot be decrypted"), std::string::npos) << damages[0];
  EXPECT_EQ(damages[0].find("mallory"), std::string::npos);
}

TEST_F(sealed, refuses_a_row_that_was_moved_to_another_table) {
  memory_store under;
  const auto s = open(under);
  ASSERT_OK(s->write({seal(table::users, "ann", "1")}));
  auto found = stored(under, table::users);
  ASSERT_EQ(found.size(), 1U);
  put_back(under, table::devices, found[0]);
  EXPECT_EQ(code(s->scan(table::devices, {}, [](byte_view, const secret_bytes&) { return true; })),
            "store_sealed");
}

TEST_F(sealed, refuses_a_row_of_another_store) {
  memory_store one;
  memory_store two;
  const auto first = open(one);
  ASSERT_OK(first->write({seal(table::users, "ann", "1")}));
  const auto second = open(two);
  ASSERT_OK(second->write({seal(table::users, "ann", "2")}));
  const auto from = stored(one, table::users);
  auto to = stored(two, table::users);
  ASSERT_EQ(from.size(), 1U);
  ASSERT_EQ(to.size(), 1U);
  EXPECT_NE(from[0].row, to[0].row) << "two stores hide the same name in the same way";
  to[0].value = from[0].value;
  put_back(two, table::users, to[0]);
  const auto refused = second->get(table::users, as_bytes("ann"));
  EXPECT_EQ(code(refused), "store_sealed");
  EXPECT_EQ(refused.error().detail.find("ann"), std::string::npos)
      << "the error contains the name of the row";
}

TEST_F(sealed, refuses_a_row_with_a_changed_or_missing_byte) {
  memory_store under;
  const auto s = open(under);
  ASSERT_OK(s->write({seal(table::users, "ann", "1")}));
  const auto good = stored(under, table::users).at(0);
  for (std::size_t i = 0; i < good.value.size(); ++i) {
    auto bad = good;
    bad.value[i] ^= 1;
    put_back(under, table::users, bad);
    EXPECT_EQ(code(s->get(table::users, as_bytes("ann"))), "store_sealed") << i;
    bad.value = bytes(good.value.begin(), good.value.begin() + static_cast<std::ptrdiff_t>(i));
    put_back(under, table::users, bad);
    EXPECT_EQ(code(s->get(table::users, as_bytes("ann"))), "store_sealed") << i;
  }
  put_back(under, table::users, good);
  EXPECT_EQ(read(*s, table::users, "ann"), "1");
}

TEST_F(sealed, keeps_rows_of_every_size_apart) {
  memory_store under;
  const auto s = open(under);
  const std::size_t sizes[] = {0, 1, 1000, 70'000, max_sealed_value_size, 20, 0};
  sealed_batch batch;
  std::vector<row_name> names;
  for (const auto size : sizes) {
    const auto name = "row " + std::to_string(names.size());
    batch.push_back(seal(table::users, name, std::string(size, static_cast<char>('a' + names.size()))));
    names.push_back({table::users, b(name)});
  }
  ASSERT_OK(s->write(batch));
  const auto found = s->read(names);
  for (std::size_t i = 0; i < names.size(); ++i) {
    ASSERT_OK(found[i]);
    ASSERT_TRUE(found[i]->value);
    EXPECT_EQ(as_text(found[i]->value->expose()), std::string(sizes[i], static_cast<char>('a' + i)));
  }
}

TEST_F(sealed, serves_many_threads_and_visitors_that_call_it) {
  memory_store under;
  const auto s = open(under);
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  constexpr int writers = 6, rows_each = 100;
  for (int t = 0; t < writers; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < rows_each; ++i) {
        const auto name = std::to_string(t) + " of " + std::to_string(i);
        good += s->write({seal(table::users, name, "value of " + name)}) &&
                        read(*s, table::users, name) == "value of " + name
                    ? 1
                    : 0;
      }
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(good, writers * rows_each);
  int seen = 0;
  EXPECT_OK(s->scan(table::users, {}, [&](byte_view row, const secret_bytes& value) {
    const std::string name(as_text(row));
    EXPECT_EQ(read(*s, table::users, name), as_text(value.expose()));
    ++seen;
    return true;
  }));
  EXPECT_EQ(seen, writers * rows_each);
}

}  // namespace
}  // namespace cpns::storage::testing
