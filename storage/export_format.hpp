#pragma once
// The encodings of export_file.hpp, for its writer and its reader alone.

#include "storage/export_file.hpp"

namespace cpns::storage::export_format {

inline constexpr std::string_view magic = "cpns export\n";
inline constexpr std::string_view key_purpose = "cpns/1 export";
inline constexpr std::size_t length_bytes = 4;
inline constexpr std::size_t header_max = 1024;  ///< bytes
/// A chunk of one row of the largest size, or a full one and such a row.
inline constexpr std::size_t frame_max = export_chunk_bytes + 2 * max_value_size;

enum class frame_kind : std::uint8_t { rows = 1, end = 2 };

inline byte_array<length_bytes> encode_length(std::size_t n) {
  const auto v = static_cast<std::uint32_t>(n);
  return {static_cast<std::uint8_t>(v >> 24U), static_cast<std::uint8_t>(v >> 16U),
          static_cast<std::uint8_t>(v >> 8U), static_cast<std::uint8_t>(v)};
}
inline std::size_t decode_length(const byte_array<length_bytes>& in) {
  return (std::size_t{in[0]} << 24U) | (std::size_t{in[1]} << 16U) | (std::size_t{in[2]} << 8U) | in[3];
}

bytes encode(const export_header& h);
bytes digest_of(byte_view header);
bytes aad_of(const bytes& header_digest, std::uint64_t frame);
secret_bytes encode(const std::vector<exported_row>& rows, std::size_t size);
secret_bytes encode(const row_counts& counts);

}  // namespace cpns::storage::export_format
