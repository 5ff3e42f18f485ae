#pragma once
// A store of slots over one in memory that fails on request, and devices with records.

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "actors/pne/key_files.hpp"
#include "actors/pne/slot_store.hpp"
#include "crypto/suite.hpp"
#include "storage/faulty_store.hpp"
#include "storage/forwarding_store.hpp"
#include "storage/memory_store.hpp"
#include "storage/secret_file.hpp"
#include "tests/support/seeded_entropy.hpp"
#include "tests/support/temporary_folder.hpp"

namespace cpns::pne_actor_tests {

/// Forwards to a store that lives on, as files do.
class lasting_store final : public storage::forwarding_store {
 public:
  /// A read that asks for `damaged` fails for all its names, as that of a damaged block of RocksDB.
  explicit lasting_store(storage::store& under, const std::optional<bytes>& damaged)
      : forwarding_store(under), damaged_(damaged) {}
  result<std::vector<std::optional<storage::stored_value>>>
  read(std::span<const storage::row_name> names) const override {
    for (const auto& n : names)
      if (n.row == damaged_) return fail(errc::store_damaged, "a block of the disk is damaged");
    return under_.read(names);
  }

 private:
  const std::optional<bytes>& damaged_;
};

class slots_test : public testing::Test {
 protected:
  /// As after a start of the process.
  void open() {
    slots_.reset();
    auto opened = actors::slot_store::open(
        dir_.path(), [this](const auto&) { return std::make_unique<lasting_store>(disk_, damaged_); },
        data_key_, random_, counted_);
    ASSERT_TRUE(opened) << opened.error().message();
    slots_ = std::move(*opened);
  }
  void SetUp() override { open(); }
  /// Removes all rows of a table, while no store is open.
  status clear(storage::table t) {
    slots_.reset();
    storage::write_batch all;
    CPNS_CHECK(memory_.scan(t, {}, [&all, t](const storage::stored_row& r) {
      all.push_back({t, r.row, r.version, std::nullopt});
      return true;
    }));
    return memory_.write_one(std::move(all));
  }

  static entity_id device(int n) { return entity_id::parse("urn:dev:os:1-" + std::to_string(n)).value(); }
  /// With a key of the epoch 1.`index`.
  protocol::pne_record record(std::uint16_t index) {
    protocol::pne_record out;
    out.current = protocol::stored_key{epoch{1, index}, random_.draw_secret<32>(), {}, 3600};
    return out;
  }
  /// The index of its epoch; -1: without a row; -2: an error.
  [[nodiscard]] int stored(int n) const {
    const auto got = slots_->load(device(n));
    if (!got) return -2;
    return got->record ? got->record->highest()->which.index() : -1;
  }
  status save(int n, const protocol::pne_record& r) {
    status out = fail(errc::internal);
    slots_->save(device(n), r, [&out](const status& outcome) { out = outcome; });
    slots_->wait_for_saves();
    return out;
  }

  test::temporary_folder dir_;
  test::seeded_entropy random_{11};
  const secret32 data_key_ = random_.draw_secret<32>();
  metrics::registry counted_;
  storage::memory_store memory_;
  storage::faulty_store disk_{memory_};
  std::optional<bytes> damaged_;  ///< the stored name of a row
  std::unique_ptr<actors::slot_store> slots_;
};

}  // namespace cpns::pne_actor_tests
