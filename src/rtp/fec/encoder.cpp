#include "rtp/fec/encoder.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/wire.hpp"

namespace penstock::rtp::fec {
namespace {

// All rows and columns of two matrices may be open at once.
size_t most_open(const Matrix& m) noexcept {
    return 2 * (size_t{m.column_repair ? m.columns : uint8_t{0}} + (m.row_repair ? m.rows : 0u));
}

}  // namespace

// What each packet goes through: calls of these cost it a twentieth.
#define PENSTOCK_INLINE [[gnu::always_inline]] inline

Encoder::Encoder(const Code& code, size_t largest)
    : code_(code),
      matrix_(code.matrix),
      largest_(largest),
      xor_(fastest_xor()),
      slots_(most_open(matrix_), largest - kMediaHeader + xor_.line - 1),
      rows_(size_t{2} * matrix_.rows),
      columns_(matrix_.columns),
      renumbering_(1, code.carriage.among_media ? kRemembered : 1) {
    free_.reserve(most_open(matrix_));
    for (size_t i = most_open(matrix_); i-- > 0;) free_.push_back(static_cast<uint16_t>(i));
    // Spread evenly over the rows, so that one column is complete about every `rows` packets.
    if (matrix_.staggered)
        for (size_t i = 0; i < columns_.size(); i++) columns_[i].stagger = i * matrix_.rows / matrix_.columns;
}

// Null: older than two matrices. A newer row than any before takes the place of the oldest.
PENSTOCK_INLINE Encoder::Row* Encoder::row_at(uint64_t row) noexcept {
    const size_t size = rows_.size();
    if (row > newest_.row) {
        for (uint64_t i = std::min<uint64_t>(row - newest_.row, size); i > 0; i--) {
            newest_row_ = newest_row_ + 1 == size ? 0 : newest_row_ + 1;
            abandon(rows_[newest_row_].sum);
            rows_[newest_row_] = {};
        }
        return &rows_[newest_row_];
    }
    const uint64_t back = newest_.row - row;
    if (back >= size) return nullptr;
    return &rows_[back <= newest_row_ ? newest_row_ - back : newest_row_ + size - back];
}

PENSTOCK_INLINE Encoder::Block* Encoder::block_at(Column& column, uint64_t row) noexcept {
    if (row < column.stagger) return nullptr;
    const uint64_t rows = matrix_.rows;
    if (row >= column.current.first_row + rows) {
        abandon(column.previous.sum);
        column.previous = column.current;
        column.current = {.first_row = column.stagger + (row - column.stagger) / rows * rows, .due = kNever, .sum = {}};
    }
    if (row >= column.current.first_row) return &column.current;
    const uint64_t first = column.previous.first_row;
    return first <= row && row < first + rows ? &column.previous : nullptr;
}

PENSTOCK_INLINE void Encoder::add(Sum* row, Sum* column, std::span<const std::byte> packet) noexcept {
    const auto fields = FieldSum::of(packet);
    const auto body = packet.subspan(kMediaHeader);
    const auto join = [&](Sum* sum) {
        if (sum == nullptr) return;
        if (sum->count++ == 0) {
            sum->slot = free_.back();
            free_.pop_back();
        }
        sum->fields.add(fields);
    };
    join(row);
    join(column);
    const size_t size = body.size();
    if (row != nullptr && column != nullptr) [[likely]] {
        if (std::min(row->size, column->size) >= size) [[likely]]
            return xor_.two(at(*row), at(*column), body.data(), size);
        if (row->count == 1 && column->size >= size) {
            row->size = static_cast<uint16_t>(size);
            return xor_.first(at(*row), at(*column), body.data(), size);
        }
        if (column->count == 1 && row->size >= size) {
            column->size = static_cast<uint16_t>(size);
            return xor_.first(at(*column), at(*row), body.data(), size);
        }
    }
    if (row != nullptr) extend(*row, body);
    if (column != nullptr) extend(*column, body);
}

PENSTOCK_INLINE Encoder::Cell Encoder::cell_of(uint64_t number) const noexcept {
    const auto columns = int32_t{matrix_.columns};
    const auto at = static_cast<int32_t>(number - numbering_.newest()) + static_cast<int32_t>(newest_.column);
    if (at >= 0 && at < columns) return {newest_.row, static_cast<uint32_t>(at)};
    if (at == columns) return {newest_.row + 1, 0};
    const int32_t rows = at >= 0 ? at / columns : -((columns - 1 - at) / columns);
    return {newest_.row + static_cast<uint64_t>(int64_t{rows}), static_cast<uint32_t>(at - rows * columns)};
}

// Null: the packet is in none of the lines that are open, or in them already.
Encoder::Row* Encoder::place(std::span<const std::byte> packet, Cell& cell) noexcept {
    const uint16_t sequence = wire::load16(&packet[2]);
    const auto place = numbering_.place(sequence, wire::load32(&packet[8]));
    if (place && place->restarted) start(packet);
    if (renumbers()) renumber(place ? place->number : numbering_.nearest(sequence), place.has_value());
    if (!place || place->number < start_) return nullptr;  // reordered before the very first
    if (packet.size() > largest_) {
        counters_.too_large.add();
        return nullptr;
    }
    cell = cell_of(place->number);
    Row* const row = row_at(cell.row);
    if (row == nullptr || (row->seen >> cell.column & 1) != 0) return nullptr;
    if (place->number >= numbering_.newest()) {
        numbering_.advance(place->number);
        newest_ = cell;
        newest_timestamp_ = wire::load32(&packet[4]);
    }
    return row;
}

// The same for the packet behind the newest. By members: a Cell that is copied whole has to wait until it was written.
PENSTOCK_INLINE Encoder::Row* Encoder::place_next(std::span<const std::byte> packet, Cell& cell) noexcept {
    Row* row = &rows_[newest_row_];
    if (newest_.column + 1 != matrix_.columns) {
        newest_.column++;
    } else {
        row = row_at(newest_.row + 1);
        newest_.row++;
        newest_.column = 0;
    }
    cell.row = newest_.row;
    cell.column = newest_.column;
    numbering_.advance(numbering_.newest() + 1);
    newest_timestamp_ = wire::load32(&packet[4]);
    return row;
}

// Where it is likely to belong: in the newest row, or at the beginning of the next one.
uint32_t Encoder::column_of(std::span<const std::byte> packet) const noexcept {
    const auto ahead = static_cast<uint16_t>(wire::load16(&packet[2]) - static_cast<uint16_t>(numbering_.newest()));
    const uint32_t at = newest_.column + ahead;
    return at < matrix_.columns ? at : at < 2u * matrix_.columns ? at - matrix_.columns : 0;
}

void Encoder::fetch_state() const noexcept { fetch_lines(this, sizeof *this); }

void Encoder::fetch_places() const noexcept {
    __builtin_prefetch(&rows_[newest_row_]);
    __builtin_prefetch(&columns_[newest_.column + 1 < columns_.size() ? newest_.column + 1 : 0]);
    __builtin_prefetch(free_.data() + free_.size());
}

void Encoder::fetch_sums(std::span<const std::byte> packet) const noexcept {
    const auto fetch_sum = [&](const Sum& sum) __attribute__((always_inline)) {
        if (sum.slot == kNoSlot && free_.empty()) return;
        fetch_lines<true>(slots_[sum.slot != kNoSlot ? sum.slot : free_.back()], packet.size());
    };
    const uint32_t column = column_of(packet);
    if (matrix_.row_repair) fetch_sum(column > newest_.column ? rows_[newest_row_].sum : Sum{});
    if (matrix_.column_repair) fetch_sum(columns_[column].current.sum);
}

std::optional<Repair> Encoder::protect(std::span<const std::byte> packet) noexcept {
    Cell cell;
    const bool usual = numbering_.follows(wire::load16(&packet[2]), wire::load32(&packet[8])) &&
                       packet.size() <= largest_ && !renumbers();
    Row* const row = usual ? place_next(packet, cell) : place(packet, cell);
    if (row == nullptr) [[unlikely]]
        return {};
    row->seen |= uint32_t{1} << cell.column;
    Block* const block = matrix_.column_repair ? block_at(columns_[cell.column], cell.row) : nullptr;
    add(matrix_.row_repair ? &row->sum : nullptr, block != nullptr ? &block->sum : nullptr, packet);

    if (block != nullptr && block->sum.count == matrix_.rows) {
        block->due = due(cell.column, *block);
        if (block->due < column_due_) {
            column_due_ = block->due;
            next_column_ = cell.column;
        }
    }
    if (row->sum.count == matrix_.columns) {
        return take(row->sum, Line::row, start_ + cell.row * matrix_.columns);
    }
    if (numbering_.newest() < column_due_) [[likely]]
        return {};
    return due_column();
}

// The columns of one matrix are spread over the time of the next, one for every `rows` packets. What was completed late
// is sent at once.
uint64_t Encoder::due(size_t column, const Block& block) const noexcept {
    const uint64_t matrix = block.first_row - columns_[column].stagger + matrix_.rows;
    return start_ + matrix * matrix_.columns + column * matrix_.rows;
}

// The numbers at which columns may be sent are `rows` apart, and go round the columns.
std::optional<Repair> Encoder::due_column() noexcept {
    while (numbering_.newest() >= column_due_) {
        const uint64_t number = column_due_;
        const size_t column = next_column_;
        Block* const block = due_at(column, number);  // null: it was given up
        if (block != nullptr) block->due = kNever;
        next_column_ = column + 1 == columns_.size() ? 0 : column + 1;
        column_due_ = number + matrix_.rows;
        if (due_at(next_column_, column_due_) == nullptr) find_due();
        if (block != nullptr)
            return take(block->sum, Line::column, start_ + block->first_row * matrix_.columns + column);
    }
    return {};
}

Encoder::Block* Encoder::due_at(size_t column, uint64_t number) noexcept {
    Column& c = columns_[column];
    return c.previous.due == number ? &c.previous : c.current.due == number ? &c.current : nullptr;
}

void Encoder::find_due() noexcept {
    column_due_ = kNever;
    for (size_t column = 0; column < columns_.size(); column++)
        for (const Block* block : {&columns_[column].previous, &columns_[column].current})
            if (block->due < column_due_) {
                column_due_ = block->due;
                next_column_ = column;
            }
}

void Encoder::start(std::span<const std::byte> packet) noexcept {
    for (Row& row : rows_) {
        abandon(row.sum);
        row = {};
    }
    for (Column& column : columns_) {
        abandon(column.current.sum);
        abandon(column.previous.sum);
        column.current = {.first_row = column.stagger, .due = kNever, .sum = {}};
        column.previous = {};
    }
    start_ = numbering_.newest();
    place_ = reinterpret_cast<uintptr_t>(packet.data() + kMediaHeader) % xor_.line;
    newest_ = {};
    newest_row_ = 0;
    column_due_ = kNever;
    renumbering_.forget();
    last_ = start_;
}

void Encoder::renumber(uint64_t number, bool placed) noexcept {
    sequence_ = renumbering_.of(number);
    if (placed && number > last_) last_ = number;
}

// Shorter packets count as if zeros followed them. Nothing need be cleared: where no packet has reached, the first that
// does is copied.
void Encoder::extend(Sum& sum, std::span<const std::byte> body) noexcept {
    std::byte* const to = at(sum);
    const size_t common = std::min<size_t>(sum.size, body.size());
    xor_.one(to, body.data(), common);
    if (body.size() == common) return;
    std::memcpy(to + common, body.data() + common, body.size() - common);
    sum.size = static_cast<uint16_t>(body.size());
}

void Encoder::abandon(Sum& sum) noexcept {
    if (sum.slot == kNoSlot) return;
    counters_.abandoned.add();
    free_.push_back(std::exchange(sum.slot, kNoSlot));
}

// False: there is no mask that reaches from the first to the last.
PENSTOCK_INLINE bool Encoder::list_members(Line line, uint64_t base, Members& into) const noexcept {
    const bool row = line == Line::row;
    into.base = static_cast<uint16_t>(base);
    into.offset = row ? uint8_t{1} : matrix_.columns;
    into.count = row ? matrix_.columns : matrix_.rows;
    if (!renumbers()) return true;
    // By the numbers they are sent with: repair of other lines lies between them.
    Mask mask;
    const uint16_t first = renumbering_.of(base);
    for (unsigned i = 0; i < into.count; i++) {
        const auto at = static_cast<uint16_t>(renumbering_.of(base + uint64_t{i} * into.offset) - first);
        if (at >= Mask::kMost) return false;
        mask.set(at);
    }
    into = *Members::of(first, mask);
    return true;
}

// Each thing is written where it is to be: what is copied right after it was written in parts has to wait for them.
std::optional<Repair> Encoder::take(Sum& sum, Line line, uint64_t base) noexcept {
    std::optional<Repair> repair{std::in_place};
    uint16_t& stream =
        code_.carriage.scheme == Scheme::st2022_1 && line == Line::column ? column_sequence_ : row_sequence_;
    const Own own{.sequence = renumbers() ? renumbering_.next(last_) : stream,
                  .timestamp = newest_timestamp_,
                  .media_ssrc = numbering_.ssrc(),
                  .body_size = sum.size};
    RepairHeader header{
        .line = line, .fields = sum.fields, .columns_follow = line == Line::row && matrix_.column_repair};
    if (!list_members(line, base, header.members) || !write_repair(code_, header, own, repair->head)) {
        abandon(sum);
        repair.reset();
        return repair;
    }
    repair->line = line;
    repair->body = {at(sum), sum.size};
    free_.push_back(std::exchange(sum.slot, kNoSlot));
    stream++;
    if (renumbers()) renumbering_.step_after(last_);
    (line == Line::row ? counters_.rows : counters_.columns).add();
    return repair;
}

}  // namespace penstock::rtp::fec
