#pragma once
// A batch of devices whose Temporary Keys follow from one master key (step 7). Secret; leaves memory only sealed. The row
// is named by the batch.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/entity_range.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace cpns::protocol {

using cpns::entity_range;
using cpns::entity_series;

inline constexpr std::size_t batch_id_max = 64;  ///< bytes
inline constexpr std::size_t batch_ranges_max =
    16;  ///< of one batch, so that a line of the audit trail has them all

/// 1 to 64 letters, digits, '.', '_' and '-', of which the first is a letter or a digit.
bool is_batch_id(std::string_view text);

struct batch_record {
  std::string batch;              ///< batch_id
  secret32 master_key;            ///< BMK
  std::vector<entity_range> ids;  ///< of its devices; no two overlap, nor do those of two batches
  std::int64_t created = 0;       ///< Unix seconds

  [[nodiscard]] bool contains(const entity_id& entity) const;
};

/// Reads the ranges of a batch. wire_grammar, config_range: none, too many, or two that overlap.
result<std::vector<entity_range>> parse_ranges(const std::vector<std::string>& texts);

secret_bytes encode(const batch_record& r);
result<batch_record> decode_batch_record(byte_view in);

}  // namespace cpns::protocol
