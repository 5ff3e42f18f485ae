#pragma once
// One message of each kind, and ways to damage encoded CBOR.

#include <string>
#include <vector>

#include "protocol/codec.hpp"
#include "protocol/node_codec.hpp"

namespace cpns::protocol::samples {

struct sample {
  std::string name;
  bytes encoded;
};

std::vector<sample> radio();
std::vector<sample> requests();
std::vector<sample> answers();
std::vector<sample> node_requests();
std::vector<sample> node_acknowledgements();

/// The offset of an element in an encoded value, and its head.
struct head {
  std::size_t offset;
  std::size_t size;
  std::uint8_t major;
  std::uint64_t argument;
};
/// The heads of all elements in order. `encoded` is well formed.
std::vector<head> heads_of(const bytes& encoded);
/// The same value with one head `extra` sizes longer (1 to 4); nullopt if that form does not exist.
std::optional<bytes> widened(const bytes& encoded, const head& h, int extra);
/// The same value with the element that begins with `h` replaced by other bytes.
bytes replaced(const bytes& encoded, const head& h, byte_view with);

/// A small generator that is the same on every machine.
class sequence {
 public:
  explicit sequence(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }

 private:
  std::uint64_t state_;
};

}  // namespace cpns::protocol::samples
