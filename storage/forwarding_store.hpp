#pragma once
// The base of a store that changes single calls of another one.

#include "storage/store.hpp"

namespace cpns::storage {

/// A store around another one has to pass on also what it does not know of: one that forgets listen() makes nodes deaf, and one
/// that forgets moment() costs a read per write, and nothing says so. Forwards each call to `under`, which must outlive it.
/// [thread-safe] if `under` is.
class forwarding_store : public store {
 public:
  explicit forwarding_store(store& under) : under_(under) {}

  result<std::vector<std::optional<stored_value>>> read(std::span<const row_name> names) const override {
    return under_.read(names);
  }
  [[nodiscard]] std::uint64_t moment() const override { return under_.moment(); }
  std::vector<status> write(std::span<const write_batch> batches) override { return under_.write(batches); }
  status scan(table t, byte_view prefix, const row_visitor& visit) const override {
    return under_.scan(t, prefix, visit);
  }
  result<std::vector<stored_row>> slice(table t, byte_view after, std::size_t limit) const override {
    return under_.slice(t, after, limit);
  }
  [[nodiscard]] store_health health() const override { return under_.health(); }
  [[nodiscard]] bool shared() const override { return under_.shared(); }
  [[nodiscard]] std::shared_ptr<void> listen(const std::function<void()>& heard) override {
    return under_.listen(heard);
  }
  [[nodiscard]] std::optional<hint_statistics> hints() const override { return under_.hints(); }
  [[nodiscard]] std::optional<database_view> database() const override { return under_.database(); }
  [[nodiscard]] result<std::optional<time_point>> clock() const override { return under_.clock(); }
  [[nodiscard]] result<bool> allows_this_program() override { return under_.allows_this_program(); }
  [[nodiscard]] std::string node() const override { return under_.node(); }

 protected:
  store& under_;
};

}  // namespace cpns::storage
