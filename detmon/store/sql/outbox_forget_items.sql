DELETE FROM outbox_items WHERE list_contains($notices, notice_id)
