#include <elf.h>
#include <link.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "plugins/host/loader.hpp"

namespace cpns::plugins {
namespace {

using header = ElfW(Ehdr);
using segment = ElfW(Phdr);

std::optional<header> header_of(std::ifstream& in) {
  header h{};
  // Identification and machine are at the same offsets in 32-bit and 64-bit files.
  constexpr auto needed = offsetof(header, e_machine) + sizeof h.e_machine;
  in.read(reinterpret_cast<char*>(&h), sizeof h);
  if (in.gcount() < static_cast<std::streamsize>(needed) || std::memcmp(h.e_ident, ELFMAG, SELFMAG) != 0)
    return std::nullopt;
  return h;
}

std::string machine_of(const header& h) {
  const bool swapped = h.e_ident[EI_DATA] == ELFDATA2MSB;
  const auto low = static_cast<unsigned>(h.e_machine) & 0xff, high = static_cast<unsigned>(h.e_machine) >> 8;
  const auto machine = swapped ? low << 8 | high : high << 8 | low;
  const char* bits = h.e_ident[EI_CLASS] == ELFCLASS64 ? " (64 bit" : " (32 bit";
  std::string name = "ELF machine " + std::to_string(machine);
  switch (machine) {
  case EM_386: name = "x86"; break;
  case EM_X86_64: name = "x86-64"; break;
  case EM_ARM: name = "ARM"; break;
  case EM_AARCH64: name = "AArch64"; break;
  case EM_RISCV: name = "RISC-V"; break;
  case EM_MIPS: name = "MIPS"; break;
  case EM_PPC64: name = "PowerPC"; break;
  case EM_S390: name = "S/390"; break;
  default: break;
  }
  return name + bits + (swapped ? ", big-endian)" : ", little-endian)");
}

/// Whether the file ends before its segments do: mapping it would raise SIGBUS.
bool is_truncated(std::ifstream& in, const header& h, std::uint64_t size) {
  for (unsigned i = 0; i < h.e_phnum; ++i) {
    segment s{};
    in.clear();
    in.seekg(static_cast<std::streamoff>(h.e_phoff + std::uint64_t{i} * h.e_phentsize));
    if (!in.read(reinterpret_cast<char*>(&s), sizeof s)) return true;
    if (s.p_type == PT_LOAD && (s.p_offset > size || s.p_filesz > size - s.p_offset)) return true;
  }
  return false;
}

}  // namespace

status check_shared_object(const std::string& file) {
  const auto refuse = [&file](const std::string& why) { return fail(errc::plugin_load, file + ": " + why); };
  std::ifstream in{file, std::ios::binary};
  if (!in) return refuse(std::string{"it cannot be read: "} + std::strerror(errno));
  const auto h = header_of(in);
  if (!h) return refuse("it is not a shared object");
  // A plugin must be for the same machine as this program.
  std::ifstream self{"/proc/self/exe", std::ios::binary};
  const auto own = header_of(self);
  if (own && (h->e_ident[EI_CLASS] != own->e_ident[EI_CLASS] ||
              h->e_ident[EI_DATA] != own->e_ident[EI_DATA] || h->e_machine != own->e_machine))
    return refuse("it is built for another machine: " + machine_of(*h) + ", and this program is built for " +
                  machine_of(*own));
  if (h->e_type != ET_DYN) return refuse("it is not a shared object, but another kind of ELF file");
  std::error_code wrong;
  const auto size = std::filesystem::file_size(file, wrong);
  if (!wrong && is_truncated(in, *h, size))
    return refuse("it is truncated: only " + std::to_string(size) + " bytes are left");
  return {};
}

}  // namespace cpns::plugins
