// A store of schema 1, whose rows have no version: it is read, and ends with its last such row.

#include "base/cbor.hpp"
#include "crypto/xaes.hpp"
#include "storage/memory_store.hpp"
#include "support.hpp"

namespace cpns::storage::testing {
namespace {

class schema_1 : public ::testing::Test {
 protected:
  schema_1() {
    EXPECT_OK(create_key_file(dir_ / "kek", random_source()));
    protector_ = std::move(open_key_file(dir_ / "kek").value());
    const auto wrapped = protector_->wrap(data_key_, "cpns/1 store", random_source()).value();
    under_.put_back(table::meta, as_bytes("data key"), stored_value{0, wrapped});
  }
  [[nodiscard]] secret32 derived(std::string_view label) const {
    secret32 out;
    crypto::openssl_suite().expand(data_key_, cbor::writer().array(1).tstr(label).view(),
                                   out.expose_mutable());
    return out;
  }
  [[nodiscard]] bytes stored_name(table t, std::string_view row) const {
    const auto name = cbor::writer().array(2).uint(static_cast<std::uint64_t>(t)).bstr(as_bytes(row)).take();
    return to_bytes(crypto::openssl_suite().hmac(derived("cpns/1 store rows").expose(), name).expose());
  }
  /// Writes a row as schema 1 did, from docs/protocol.md of that time.
  void put_old(table t, std::string_view row, std::string_view value) {
    const auto name = stored_name(t, row);
    const auto key_id = to_bytes(derived("cpns/1 store key id").expose().first(8));
    const auto aad = cbor::writer()
                         .array(5)
                         .tstr("cpns/1 row")
                         .uint(static_cast<std::uint64_t>(t))
                         .bstr(name)
                         .bstr(key_id)
                         .uint(1)
                         .take();
    const auto plain = cbor::writer().array(2).bstr(as_bytes(row)).bstr(as_bytes(value)).take();
    auto sealed = key_id;
    const auto body = crypto::xaes_seal(derived("cpns/1 store seal"), random_source(), aad, plain);
    sealed.insert(sealed.end(), body.begin(), body.end());
    under_.put_back(t, name, stored_value{0, sealed});
  }
  std::unique_ptr<sealed_store> open() {
    auto opened = sealed_store::open(under_, *protector_, random_source());
    EXPECT_OK(opened);
    return opened ? std::move(*opened) : nullptr;
  }
  /// Migrates all tables, `limit` rows at a time; the number of rows that got a version.
  std::size_t migrate(sealed_store& s, std::size_t limit, std::size_t* damaged = nullptr) {
    std::size_t done = 0;
    for (const auto t : all_tables) {
      page_end after{std::string{}};
      while (after) {
        auto end = s.migrate(t, *after, limit, done, [damaged](const error&) {
          if (damaged != nullptr) ++*damaged;
        });
        EXPECT_OK(end);
        after = end.value_or(page_end{});
      }
    }
    return done;
  }
  temporary_folder dir_;
  memory_store under_;
  std::unique_ptr<key_protector> protector_;
  secret32 data_key_ = random_source().draw_secret<32>();
};

TEST_F(schema_1, rows_are_read_and_get_a_version_at_their_next_write) {
  put_old(table::users, "ann", "1");
  const auto s = open();
  EXPECT_FALSE(s->refuses_schema_1());
  EXPECT_EQ(read(*s, table::users, "ann"), "1");
  EXPECT_EQ(s->read_one(table::users, as_bytes("ann"))->version, 0U);
  auto change = seal(table::users, "ann", "2");
  change.expected = 0;
  ASSERT_OK(s->write({change}));
  EXPECT_EQ(s->read_one(table::users, as_bytes("ann"))->version, 1U);
  EXPECT_EQ(code(s->write({change})), "store_conflict");
  EXPECT_EQ(read(*s, table::users, "ann"), "2");
}

TEST_F(schema_1, rows_can_be_erased_and_the_old_one_is_gone) {
  put_old(table::users, "ann", "1");
  const auto s = open();
  ASSERT_OK(s->write({{table::users, b("ann"), std::nullopt}}));
  EXPECT_EQ(read(*s, table::users, "ann"), "(none)");
  EXPECT_EQ(s->read_one(table::users, as_bytes("ann"))->version, 1U);
}

TEST_F(schema_1, ends_when_all_rows_are_migrated) {
  for (int i = 0; i < 20; ++i) put_old(table::devices, "device " + std::to_string(i), std::to_string(i));
  put_old(table::users, "ann", "1");
  put_old(table::meta, "cpns server", "m");
  const auto s = open();
  ASSERT_OK(s->write({seal(table::devices, "device 3", "new")}));
  EXPECT_EQ(migrate(*s, 7), 21U) << "all but the one that was written";
  EXPECT_EQ(migrate(*s, 7), 0U);
  ASSERT_OK(s->refuse_schema_1());
  EXPECT_EQ(read(*s, table::devices, "device 3"), "new");
  EXPECT_EQ(read(*s, table::devices, "device 4"), "4");
  EXPECT_EQ(read(*s, table::meta, "cpns server"), "m");
  put_old(table::users, "ann", "1");
  EXPECT_EQ(code(s->get(table::users, as_bytes("ann"))), "store_sealed") << "somebody put it back";
  const auto later = open();
  EXPECT_TRUE(later->refuses_schema_1());
  EXPECT_EQ(code(later->get(table::users, as_bytes("ann"))), "store_sealed");
  EXPECT_EQ(read(*later, table::devices, "device 4"), "4");
}

TEST_F(schema_1, rows_that_cannot_be_decrypted_stay_and_are_reported) {
  put_old(table::users, "ann", "1");
  put_old(table::users, "bob", "2");
  const auto name = stored_name(table::users, "bob");
  auto bad = under_.get(table::users, name).value().value();
  bad.value.back() ^= 1;
  under_.put_back(table::users, name, bad);
  const auto s = open();
  std::size_t damaged = 0;
  EXPECT_EQ(migrate(*s, 100, &damaged), 1U);
  EXPECT_EQ(damaged, 1U);
  EXPECT_EQ(under_.get(table::users, name).value()->value, bad.value);
}

TEST_F(schema_1, is_refused_from_the_first_row_on_by_a_new_store) {
  under_.put_back(table::meta, as_bytes("data key"), std::nullopt);
  const auto s = open();
  EXPECT_TRUE(s->refuses_schema_1());
  EXPECT_TRUE(open()->refuses_schema_1());
}

}  // namespace
}  // namespace cpns::storage::testing
