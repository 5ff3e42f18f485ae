// The plugin's file and its entry.

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>

#include "plugins/conformance/test.hpp"

namespace cpns::conformance {
namespace {

using std::chrono::seconds;

void loads(bench& b) { b.entry(); }

/// The exported symbols of the file, as `nm -D --defined-only` prints them.
std::vector<std::string> exported_by(const std::string& file) {
  std::ifstream in{file, std::ios::binary};
  const std::string all{std::istreambuf_iterator<char>{in}, {}};
  const auto at = [&](std::uint64_t offset, void* into, std::size_t size) {
    require(offset <= all.size() && size <= all.size() - offset,
            "the file is truncated: shorter than its headers state");
    std::memcpy(into, all.data() + offset, size);
  };
  Elf64_Ehdr header;
  at(0, &header, sizeof header);
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64)
    throw test_skipped{"the file is not a 64-bit ELF file, so its symbols are not read"};
  std::vector<std::string> names;
  for (unsigned i = 0; i < header.e_shnum; ++i) {
    Elf64_Shdr section, text;
    at(header.e_shoff + std::uint64_t{i} * header.e_shentsize, &section, sizeof section);
    if (section.sh_type != SHT_DYNSYM) continue;
    at(header.e_shoff + std::uint64_t{section.sh_link} * header.e_shentsize, &text, sizeof text);
    for (std::uint64_t s = 0; s + sizeof(Elf64_Sym) <= section.sh_size; s += sizeof(Elf64_Sym)) {
      Elf64_Sym symbol;
      at(section.sh_offset + s, &symbol, sizeof symbol);
      if (symbol.st_shndx == SHN_UNDEF || symbol.st_shndx == SHN_ABS ||
          ELF64_ST_BIND(symbol.st_info) == STB_LOCAL)
        continue;
      const auto begin = text.sh_offset + symbol.st_name;
      require(begin < all.size(), "the file is truncated: shorter than its headers state");
      names.emplace_back(all.c_str() + begin);
    }
  }
  return names;
}

void exports_one_symbol(bench& b) {
  auto names = exported_by(b.on.file);
  std::erase(names, CPNS_ENTRY_SYMBOL);
  // Older linkers export these from every file.
  for (const char* usual : {"_init", "_fini", "__bss_start", "_edata", "_end"}) std::erase(names, usual);
  std::sort(names.begin(), names.end());
  require(names.empty(), "a plugin must export only " CPNS_ENTRY_SYMBOL ": it exports " +
                             std::to_string(names.size()) + " more, the first is " +
                             (names.empty() ? "" : names.front()) +
                             "; hide them with a version script and -fvisibility=hidden");
}

std::string wrong_name(const char* name) {
  if (name == nullptr || *name == '\0') return "it is missing";
  const std::string_view n{name, strnlen(name, 65)};
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  if (n.size() > 64 || !std::all_of(n.begin(), n.end(), fits)) return "it is '" + std::string{n} + "'";
  return {};
}

void entry_is_sound(bench& b) {
  const auto& e = b.entry();
  const auto first_size = offsetof(cpns_transport_entry_t, open) + sizeof e.open;
  require(e.size >= first_size, "size must be sizeof(cpns_transport_entry_t): it is " +
                                    std::to_string(e.size) + ", in interface 1.0 it is " +
                                    std::to_string(first_size));
  require(e.size <= 4096, "size must be sizeof(cpns_transport_entry_t): it is " + std::to_string(e.size));
  require(e.abi_major == CPNS_ABI_MAJOR, "abi_major must be CPNS_ABI_MAJOR: it is " +
                                             std::to_string(e.abi_major) + ", in this program it is " +
                                             std::to_string(CPNS_ABI_MAJOR));
  require(e.open != nullptr, "open must be a function: it is NULL");
  const auto wrong = wrong_name(e.name);
  require(wrong.empty(), "name must be 1 to 64 lower-case letters, digits, '-' and '_': " + wrong);
  require(e.version != nullptr && *e.version != '\0', "version must be the plugin's version: it is missing");
  require(e.description != nullptr && *e.description != '\0',
          "description must be one sentence: it is missing");
  require(std::strchr(e.description, '\n') == nullptr,
          "description must be one sentence: it has a line break");
  if (e.reserved != 0) b.warn("reserved must be 0 in this version: it is " + std::to_string(e.reserved));
}

constexpr test load_list[] = {
    {"loads", "The file is a shared object for this machine and exports cpns_transport_entry.", "",
     seconds{10}, loads},
    {"exports-one-symbol", "The file exports cpns_transport_entry and nothing else.", "loads", seconds{10},
     exports_one_symbol},
    {"entry-is-sound", "Size, version, name and description of the entry are valid.", "loads", seconds{10},
     entry_is_sound},
};

}  // namespace

std::span<const test> load_tests() { return load_list; }

}  // namespace cpns::conformance
