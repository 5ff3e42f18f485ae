#pragma once
// A map in order, in few bytes per entry.

#include <algorithm>
#include <cstddef>
#include <functional>
#include <iterator>
#include <stdexcept>
#include <utility>
#include <vector>

namespace cpns {

/// A std::map adds 32 bytes to each entry, and the allocator more, which is most of the memory of a table with a million
/// small entries. Here the entries are in sorted pieces, each of which is one allocation. If each new key is greater than all
/// others, the pieces are full; otherwise a full piece is split in halves. After any changes, two neighbours have together more
/// than half of piece_max entries, and a piece of n entries has memory for less than 2 n + 8. Each insertion and each removal
/// invalidates all iterators and references. If memory is refused, no entry is lost and size() is right. Not thread-safe.
template <class Key, class Value, class Less = std::less<>>
class ordered_table {
 public:
  using value_type = std::pair<Key, Value>;
  static constexpr std::size_t piece_max = 128;  ///< entries

  template <class Table, class Entry>
  class basic_iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = ordered_table::value_type;
    using difference_type = std::ptrdiff_t;
    using pointer = Entry*;
    using reference = Entry&;

    basic_iterator() = default;
    reference operator*() const { return of_->pieces_[piece_][at_]; }
    pointer operator->() const { return &**this; }
    basic_iterator& operator++() {
      if (++at_ == of_->pieces_[piece_].size()) ++piece_, at_ = 0;
      return *this;
    }
    basic_iterator operator++(int) {
      auto before = *this;
      ++*this;
      return before;
    }
    friend bool operator==(const basic_iterator& a, const basic_iterator& b) {
      return a.piece_ == b.piece_ && a.at_ == b.at_;
    }

   private:
    friend class ordered_table;
    basic_iterator(Table* of, std::size_t piece, std::size_t at) : of_(of), piece_(piece), at_(at) {}
    Table* of_ = nullptr;
    std::size_t piece_ = 0, at_ = 0;
  };
  using iterator = basic_iterator<ordered_table, value_type>;
  using const_iterator = basic_iterator<const ordered_table, const value_type>;

  ordered_table() = default;
  ordered_table(const ordered_table&) = default;
  ordered_table(ordered_table&& other) noexcept
      : pieces_(std::move(other.pieces_)), size_(std::exchange(other.size_, 0)) {}
  ordered_table& operator=(ordered_table other) noexcept {
    pieces_.swap(other.pieces_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~ordered_table() = default;

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  /// Bytes of memory beside the object itself and what its entries point to. Takes as long as there are pieces.
  [[nodiscard]] std::size_t bytes() const {
    auto out = pieces_.capacity() * sizeof(piece);
    for (const auto& p : pieces_) out += p.capacity() * sizeof(value_type);
    return out;
  }
  iterator begin() { return {this, 0, 0}; }
  iterator end() { return {this, pieces_.size(), 0}; }
  [[nodiscard]] const_iterator begin() const { return {this, 0, 0}; }
  [[nodiscard]] const_iterator end() const { return {this, pieces_.size(), 0}; }

  // K: any type that Less compares with a Key.
  template <class K>
  iterator lower_bound(const K& key) {
    return lower<iterator>(*this, key);
  }
  template <class K>
  [[nodiscard]] const_iterator lower_bound(const K& key) const {
    return lower<const_iterator>(*this, key);
  }
  /// The first one that is greater than `key`.
  template <class K>
  [[nodiscard]] const_iterator upper_bound(const K& key) const {
    auto it = lower_bound(key);
    if (it != end() && !Less{}(key, it->first)) ++it;
    return it;
  }
  template <class K>
  iterator find(const K& key) {
    return found(*this, lower_bound(key), key);
  }
  template <class K>
  [[nodiscard]] const_iterator find(const K& key) const {
    return found(*this, lower_bound(key), key);
  }
  template <class K>
  [[nodiscard]] bool contains(const K& key) const {
    return find(key) != end();
  }
  /// Throws std::out_of_range if there is none.
  template <class K>
  Value& at(const K& key) {
    const auto it = find(key);
    if (it == end()) throw std::out_of_range{"ordered_table"};
    return it->second;
  }
  /// The value of `key`; a new one if there is none.
  Value& operator[](const Key& key) {
    auto it = lower_bound(key);
    if (it == end() || Less{}(key, it->first)) it = insert(it, {key, Value{}});
    return it->second;
  }
  /// Replaces the value if there is one. Fastest for keys in ascending order.
  void insert_or_assign(Key key, Value value) {
    if (!pieces_.empty() && Less{}(pieces_.back().back().first, key))
      insert(end(), {std::move(key), std::move(value)});
    else if (auto it = lower_bound(key); it != end() && !Less{}(key, it->first))
      it->second = std::move(value);
    else
      insert(it, {std::move(key), std::move(value)});
  }

  /// The entry after it.
  iterator erase(iterator it) {
    auto& p = pieces_[it.piece_];
    p.erase(p.begin() + static_cast<std::ptrdiff_t>(it.at_));
    --size_;
    if (p.empty()) {
      // Its neighbours, if it has two, are large enough to be neighbours.
      pieces_.erase(pieces_.begin() + static_cast<std::ptrdiff_t>(it.piece_));
      shrink(pieces_);
      return {this, it.piece_, 0};
    }
    if (fit_together(it.piece_)) {
      take_next(it.piece_);
    } else if (it.piece_ > 0 && fit_together(it.piece_ - 1)) {
      it = {this, it.piece_ - 1, pieces_[it.piece_ - 1].size() + it.at_};
      take_next(it.piece_);
    } else {
      shrink(p);
    }
    return it.at_ < pieces_[it.piece_].size() ? it : iterator{this, it.piece_ + 1, 0};
  }
  /// The number of entries removed.
  template <class K>
  std::size_t erase(const K& key) {
    const auto it = find(key);
    if (it == end()) return 0;
    erase(it);
    return 1;
  }
  void clear() { *this = ordered_table{}; }

 private:
  using piece = std::vector<value_type>;

  template <class Iterator, class Table, class K>
  static Iterator lower(Table& of, const K& key) {
    const auto p = std::partition_point(of.pieces_.begin(), of.pieces_.end(),
                                        [&](const piece& one) { return Less{}(one.back().first, key); });
    if (p == of.pieces_.end()) return of.end();
    const auto at =
        std::partition_point(p->begin(), p->end(), [&](const value_type& e) { return Less{}(e.first, key); });
    return {&of, static_cast<std::size_t>(p - of.pieces_.begin()), static_cast<std::size_t>(at - p->begin())};
  }
  template <class Table, class Iterator, class K>
  static Iterator found(Table& of, Iterator it, const K& key) {
    return it == of.end() || Less{}(key, it->first) ? of.end() : it;
  }

  /// For `size` entries and some more. A vector would double its memory.
  static std::size_t room_for(std::size_t size) { return size + size / 8 + 4; }
  /// Only if that frees more than a piece may grow by at once, so that an insertion and a removal in turn move nothing.
  template <class Vector>
  static void shrink(Vector& v) {
    if (2 * (v.size() + 4) > v.capacity()) return;
    Vector less;
    less.reserve(room_for(v.size()));
    std::move(v.begin(), v.end(), std::back_inserter(less));
    v = std::move(less);
  }

  /// Before `it`, which is the lower bound of its key.
  iterator insert(iterator it, value_type e) {
    if (it == end() && (pieces_.empty() || pieces_.back().size() >= piece_max)) {
      piece one;
      one.push_back(std::move(e));
      pieces_.push_back(std::move(one));
      ++size_;
      return {this, pieces_.size() - 1, 0};
    }
    if (it == end()) it = {this, pieces_.size() - 1, pieces_.back().size()};
    if (pieces_[it.piece_].size() >= piece_max) it = split(it);
    auto& p = pieces_[it.piece_];
    if (p.size() == p.capacity()) p.reserve(std::min(piece_max, room_for(p.size())));
    p.insert(p.begin() + static_cast<std::ptrdiff_t>(it.at_), std::move(e));
    ++size_;
    return it;
  }
  /// The second half of its piece becomes a piece; returns where `it` is then.
  iterator split(iterator it) {
    const auto half = pieces_[it.piece_].size() / 2;
    piece rest;
    rest.reserve(pieces_[it.piece_].size() - half);
    // Nothing moves before all memory is there.
    const auto to =
        pieces_.insert(pieces_.begin() + static_cast<std::ptrdiff_t>(it.piece_) + 1, std::move(rest));
    auto& full = *std::prev(to);
    const auto middle = full.begin() + static_cast<std::ptrdiff_t>(half);
    std::move(middle, full.end(), std::back_inserter(*to));
    full.erase(middle, full.end());
    full.shrink_to_fit();
    return it.at_ <= half ? it : iterator{this, it.piece_ + 1, it.at_ - half};
  }
  /// Whether the piece and the next one have few enough entries for one piece, which then has room for as many again.
  [[nodiscard]] bool fit_together(std::size_t at) const {
    return at + 1 < pieces_.size() && pieces_[at].size() + pieces_[at + 1].size() <= piece_max / 2;
  }
  void take_next(std::size_t at) {
    auto& to = pieces_[at];
    auto& next = pieces_[at + 1];
    const auto both = to.size() + next.size();
    if (to.capacity() < both) to.reserve(room_for(both));
    std::move(next.begin(), next.end(), std::back_inserter(to));
    pieces_.erase(pieces_.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    shrink(pieces_[at]);
    shrink(pieces_);
  }

  std::vector<piece> pieces_;  ///< in order; none is empty
  std::size_t size_ = 0;
};

}  // namespace cpns
